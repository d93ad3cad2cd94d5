// The page of the discovery service: what is live, since when, what has just changed, and whether the
// registry itself is well. `/api/watch` tells what comes and goes, `/api/list` adds heartbeats and TTLs,
// `/api/stats` tells how the registry is; nothing else is shown, so the past begins when the page is opened.
//
// Clients choose names, tags and metadata, and may be hostile: these become text nodes and attributes, never
// markup.

/* ---- Bounds ---- */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

const SHOWN_MAX = 20_000; // registrations that are kept and shown
const TYPES_SHOWN_MAX = 300; // in the list of types
const LABELS_SHOWN_MAX = 8; // tags, and pairs, in a row
const LOG_MAX = 200; // changes in the log, gaps in the timeline
const EVENTS_MAX = 2_000; // changes that the timeline can name
const STEPS_MAX = 20_000; // changes of a type's count in the timeline
const GONE_MS = 10 * SECOND; // what has gone stays in the table
const GRACE_MS = 5 * SECOND; // a registry that came back is not believed that one is gone
const SILENCE_MS = 40 * SECOND; // a stream that is silent for longer is dead: it speaks every 15 s
const ASK_MS = 5 * SECOND; // between two looks at the registry, and at the heartbeats
const ASK_MS_A_ROW = 2; // and more between those at the heartbeats
const ASK_SOON_MS = 2 * SECOND; // the same where something is new or late
const PAUSES_MS = [500, 1000, 2000, 4000, 8000, 15_000]; // between attempts to connect
const HOLD_MS = 20 * SECOND; // rows keep their places after the pointer or a key has moved there
const SPEAK_MS = 5 * SECOND; // between two announcements to a screen reader
const WORRY_MS = 10 * MINUTE; // it is a worry that a counter has grown
const WORST_TURN_US = 50_000; // a longer turn of the registry's loop is a worry
const COLOURS = 6; // types with a colour of their own; all others share one

/* ---- Text ---- */

const number = new Intl.NumberFormat("en").format;
const hour = { hourCycle: "h23", hour: "2-digit", minute: "2-digit" };
const clockShort = new Intl.DateTimeFormat([], hour).format;
const clock = new Intl.DateTimeFormat([], { ...hour, second: "2-digit" }).format;
const date = (at) => String(new Date(at));

/** A time in words: `12 s`, `3 min`, `2 h 5 min`, `3 d 4 h`. */
function span(ms) {
	const whole = (size) => Math.max(0, Math.floor(ms / size));
	if (ms < MINUTE) return `${whole(SECOND)} s`;
	if (ms < HOUR) return `${whole(MINUTE)} min`;
	return ms < 24 * HOUR ? `${whole(HOUR)} h ${whole(MINUTE) % 60} min` : `${whole(24 * HOUR)} d ${whole(HOUR) % 24} h`;
}

/** Foreign text, with characters that nobody can see, such as marks of direction, as `\u{202e}`. */
const visible = (text) => text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

const byText = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/* ---- The document ---- */

const $ = (id) => document.getElementById(id);

function build(element, attributes, children) {
	for (const [name, value] of Object.entries(attributes)) {
		if (typeof value === "function") element[name] = value;
		else if (value !== null) element.setAttribute(name, value);
	}
	element.append(...children);
	return element;
}

/** A new element, of a name and perhaps a class: `span.tag`. */
function make(name, attributes = {}, ...children) {
	const [tag, kind = null] = name.split(".");
	return build(document.createElement(tag), { class: kind, ...attributes }, children);
}

const draw = (name, attributes = {}, ...children) =>
	build(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

const button = (text, onclick, attributes = {}) => make("button", { onclick, ...attributes }, text);

function on(target, names, act) {
	for (const name of names.split(" ")) target.addEventListener(name, act);
}

/** Foreign text, in its own direction. */
const foreign = (text) => make("bdi", {}, visible(text));

/** Sets what has changed and leaves the rest alone, so that a selection or a focus survives. */
function put(element, text, attributes = {}) {
	if (text !== null && element.textContent !== text) element.textContent = text;
	for (const [name, value] of Object.entries(attributes)) {
		if (value === null) element.removeAttribute(name);
		else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
	}
}

/** Replaces what is in an element if `key` is another than before. */
function putNodes(element, key, nodes) {
	if (element.shown === key) return;
	element.shown = key;
	const focused = element.contains(document.activeElement) && document.activeElement;
	element.replaceChildren(...nodes());
	if (focused) focused.focus({ preventScroll: true });
}

async function copy(text) {
	try {
		await navigator.clipboard.writeText(text);
	} catch {
		// Over plain HTTP, browsers offer the clipboard to pages of this host only.
		const field = make("textarea.unseen", {}, text);
		const focused = document.activeElement;
		(document.querySelector("dialog[open]") ?? document.body).append(field);
		field.select();
		document.execCommand("copy");
		field.remove();
		focused.focus({ preventScroll: true });
	}
	$("toast").textContent = `Copied ${visible(text)}`;
	clearTimeout($("toast").timer);
	$("toast").timer = setTimeout(() => put($("toast"), ""), 2.5 * SECOND);
}

/* ---- What is live ---- */

/** A text by which addresses are sorted as numbers. */
function addressKey(ip, port) {
	const pad = (parts, digits) => parts.map((part) => String(part).padStart(digits, "0")).join("");
	if (!ip.includes(":")) return `4${pad(ip.split("."), 3)}${pad([port], 5)}`;
	const [left, right = []] = ip.split("::").map((half) => half.split(":").filter(Boolean));
	return `6${pad([...left, ...Array(8 - left.length - right.length).fill(0), ...right], 4)}${pad([port], 5)}`;
}

/**
 * What the stream has told, by id. A record is `live`, `unsure` (a registry that came back has not told it
 * again yet) or `gone`, since `at`. It came `since`, null if before the page was opened; `ttl`, `heard` (its
 * last heartbeat) and `held` are null until the list tells them.
 */
class Services {
	records = new Map();
	/** How many are live, by type, and in all; as of `countAll`. */
	counts = new Map();
	live = 0;
	/** Whether there was a snapshot, whether the last one is whole, and whether a connection was lost since. */
	isKnown = false;
	isWhole = false;
	isBack = false;

	/** Applies an update of the stream, and returns what has changed. */
	take({ services: told, part = 1, more, up = [], down = [] }, now) {
		const changes = [];
		if (told && part === 1) {
			this.isWhole = false;
			this.#each("live", (record) => Object.assign(record, { state: "unsure", at: now }));
		}
		for (const service of [...(told ?? []), ...up]) this.#up(service, now, changes);
		for (const { id, reason } of down) this.#end(this.records.get(id), reason, now, changes);
		if (told && !more) {
			if (!this.isBack) this.#each("unsure", (record) => this.#end(record, "gone unseen", now, changes));
			Object.assign(this, { isKnown: true, isWhole: true, isBack: false });
		}
		return changes;
	}

	takeList(list, now) {
		for (const { id, age_ms: age, ttl_ms: ttl, held } of list) {
			const record = this.records.get(id);
			if (record) Object.assign(record, { held, ttl: held ? null : ttl, heard: held || age === null ? null : now - age });
		}
	}

	/** Ends the grace of those that did not come back, and drops what has been gone for a while. */
	sweep(now) {
		const changes = [];
		this.#each("gone", ({ id, at }) => now - at >= GONE_MS && this.records.delete(id));
		this.#each("unsure", (record) => {
			if (now - record.at >= GRACE_MS) this.#end(record, "gone while not connected", now, changes);
		});
		return changes;
	}

	countAll() {
		Object.assign(this, { counts: new Map(), live: 0 });
		this.#each("live", ({ type }) => {
			this.counts.set(type, (this.counts.get(type) ?? 0) + 1);
			this.live += 1;
		});
	}

	#each(state, act) {
		for (const record of this.records.values()) if (record.state === state) act(record);
	}

	#up({ id, type, ip, port, tags = [], meta = {} }, now, changes) {
		const address = `${ip.includes(":") ? `[${ip}]` : ip}:${port}`;
		const pairs = Object.entries(meta);
		const shown = JSON.stringify([address, tags, pairs]);
		const text = [type, address, ...tags, ...pairs.map((pair) => pair.join("=")), id].join("\n").toLowerCase();
		const told = { id, type, address, key: addressKey(ip, port), tags, pairs, shown, text, state: "live" };
		const known = this.records.get(id);
		if (known && known.state !== "gone") {
			if (known.shown !== shown) changes.push({ kind: "changed", record: known, reason: "new tags or metadata" });
			Object.assign(known, told);
			return;
		}
		// Who held its address before the connection was lost may hold it again under a new id.
		let before = null;
		const isSame = (record) => record.type === type && record.address === address;
		if (this.isKnown) this.#each("unsure", (record) => isSame(record) && (before = record));
		const since = before ? before.since : this.isKnown ? now : null;
		const record = { ...told, since, ttl: null, heard: null, held: null };
		this.records.set(id, record);
		if (before) this.records.delete(before.id);
		else if (this.isKnown) changes.push({ kind: "up", record, reason: this.isBack ? "came while not connected" : "" });
	}

	#end(record, reason, now, changes) {
		if (!record || record.state === "gone") return;
		Object.assign(record, { state: "gone", at: now, reason });
		changes.push({ kind: "down", record, reason });
	}
}

/* ---- What was ---- */

/** How many were live of each type since the page was opened, and what came and went. */
class History {
	/** From when on it is known; and times without a connection, `[from, to]`. */
	since = null;
	gaps = [];
	/** What came, went and changed, oldest first. */
	events = [];
	/** The counts at the beginning, at the end, and each change; the type null is the sum of all. */
	#first = new Map();
	#last = new Map();
	#steps = [];

	note(counts, sum, at) {
		const told = new Map([...counts, [null, sum]]);
		if (this.since === null) Object.assign(this, { since: at }, (this.#first = told));
		else {
			for (const type of new Set([...told.keys(), ...this.#last.keys()])) {
				const count = told.get(type) ?? 0;
				if (count !== (this.#last.get(type) ?? 0)) this.#steps.push({ at, type, count });
			}
		}
		this.#last = told;
		const old = this.#steps.findIndex((step) => at - step.at < HOUR);
		const drop = Math.max(old, this.#steps.length - STEPS_MAX);
		if (drop < STEPS_MAX / 20) return;
		for (const { at: end, type, count } of this.#steps.splice(0, drop)) {
			this.#first.set(type, count);
			this.since = Math.max(this.since, end);
		}
	}

	add(changes, at) {
		for (const { kind, reason, record } of changes) {
			const isSilent = reason === "expired" && record.heard !== null;
			const last = isSilent ? `, last heard ${span(at - record.heard)} before` : "";
			this.events.push({ ...record, at, kind, reason: reason + last });
		}
		this.events.splice(0, this.events.length - EVENTS_MAX);
	}

	lost(at) {
		if (this.gaps.at(-1)?.[1] !== Infinity) this.gaps = [...this.gaps.slice(1 - LOG_MAX), [at, Infinity]];
	}

	found(at) {
		if (this.gaps.at(-1)?.[1] === Infinity) this.gaps.at(-1)[1] = at;
	}

	/** How many were live at the end of each of `columns` parts of the time, for these types. */
	series(types, from, to, columns) {
		const series = new Map();
		for (const type of types) series.set(type, new Float64Array(columns).fill(this.#first.get(type) ?? 0));
		for (const { at, type, count } of this.#steps) {
			const column = Math.max(0, Math.ceil(((at - from) / (to - from)) * columns) - 1);
			series.get(type)?.fill(count, column);
		}
		return series;
	}
}

/* ---- The state of the page ---- */

const services = new Services();
const history = new History();

/** What the address of the page chooses. */
const choice = { type: null, search: "", sort: "type", minutes: 15 };

/** How the page is connected. `lostAt` is there from the loss of a connection until the next. */
const link = { state: "connecting", reason: "", lostAt: null, tries: 0, next: 0, attempt: null, timer: null };

/** Whether the stream tells all. Where there are too many it tells one type, and the counts are asked for. */
const scope = { isAll: true, type: null, counts: new Map() };

/** The registry itself: its last answer and when that came, and when a counter last grew. */
const registry = { stats: null, at: 0, speed: null, beats: null, grown: new Map() };

/** The moment that is shown. */
const shownAt = () => link.lostAt ?? Date.now();

const counts = () => (scope.isAll ? services.counts : scope.counts);
const live = () => (scope.isAll ? services.live : (registry.stats?.registrations ?? 0));

/** Why the table cannot show what is chosen, or null. */
function tooMany() {
	if (scope.isAll) return null;
	if (choice.type === null) return `${number(live())} are live, too many to show at once: choose a type.`;
	const those = scope.counts.get(choice.type) ?? 0;
	return those <= SHOWN_MAX ? null
		: `${number(those)} of this type are live, too many to show: /api/list takes tag= and meta.KEY=.`;
}

const words = () => choice.search.toLowerCase().split(/\s+/).filter(Boolean);
const isChosen = ({ type, text }, searched) =>
	(choice.type === null || choice.type === type) && searched.every((word) => text.includes(word));

function fragment(changes) {
	const { type, search, sort, minutes } = { ...choice, ...changes };
	const parts = { type: type ?? "", q: search, sort: sort === "type" ? "" : sort, span: minutes === 60 ? "60" : "" };
	return `#${new URLSearchParams(Object.entries(parts).filter(([, value]) => value))}`;
}

function readFragment() {
	const given = new URLSearchParams(location.hash.slice(1));
	const sort = given.get("sort") ?? "";
	choice.type = given.get("type") || null;
	choice.search = given.get("q") ?? "";
	choice.sort = COLUMNS.some(({ name }) => name === sort.replace("-", "")) ? sort : "type";
	choice.minutes = given.get("span") === "60" ? 60 : 15;
	if ($("search").value !== choice.search) $("search").value = choice.search;
	$("minutes").value = choice.minutes;
}

/** Chooses something else; a type is a step to which the browser can go back. */
function choose(changes) {
	const step = "type" in changes && changes.type !== choice.type ? "pushState" : "replaceState";
	window.history[step](null, "", fragment(changes));
	chosen();
}

function chosen() {
	const before = choice.type;
	readFragment();
	if (before !== choice.type) {
		if (!scope.isAll) connect();
		askListSoon();
	}
	table.heldUntil = 0;
	log.isDirty = true;
	render();
}

/* ---- The connection ---- */

let token = sessionStorage.getItem("token") ?? "";

async function request(path, signal, accept) {
	// With this the browser leaves it to the page to ask for a token.
	const headers = { Accept: accept, "X-Requested-With": "fetch" };
	// Without a token of the page's own, the browser sends the one that it has asked for, if it has.
	if (token) headers.Authorization = `Bearer ${token}`;
	const credentials = token ? "omit" : "same-origin";
	const response = await fetch(location.origin + path, { headers, credentials, signal, cache: "no-store" });
	if (response.ok) return response;
	const { status } = response;
	const { error = `the registry answers ${status}`, code } = await response.json().catch(() => ({}));
	throw Object.assign(new Error(error), { status, code });
}

const ask = async (path, signal) => (await request(path, signal, "application/json")).json();
const ofType = (type) => (type === null ? "" : `?type=${encodeURIComponent(type)}`);

/** Makes a new attempt in place of the present one. */
async function connect() {
	link.attempt?.abort();
	clearTimeout(link.timer);
	link.next = 0;
	if (document.hidden) return;
	const attempt = new AbortController();
	link.attempt = attempt;
	try {
		await follow(attempt);
		throw new Error("the registry ended the stream");
	} catch (problem) {
		if (link.attempt === attempt) failed(attempt.signal.reason ?? problem);
	}
}

async function follow(attempt) {
	takeStats(await ask("/api/stats", attempt.signal));
	const isAll = registry.stats.registrations <= SHOWN_MAX;
	const type = isAll ? null : choice.type;
	if (isAll !== scope.isAll || type !== scope.type) Object.assign(services, new Services());
	Object.assign(scope, { isAll, type });
	if (!isAll) await askTypes(attempt.signal);
	if (tooMany()) {
		becomeLive();
		// Until something else is chosen, or there are fewer.
		await new Promise((_, reject) => attempt.signal.addEventListener("abort", reject));
	}
	let silence;
	const heard = () => {
		clearTimeout(silence);
		silence = setTimeout(() => attempt.abort(new Error("the registry fell silent")), SILENCE_MS);
	};
	try {
		heard();
		const stream = await request(`/api/watch${ofType(type)}`, attempt.signal, "text/event-stream");
		services.isBack = services.isKnown;
		await readEvents(stream, heard);
	} finally {
		clearTimeout(silence);
	}
}

/** Reads server-sent events to the end of the stream. */
async function readEvents(response, heard) {
	const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
	let rest = "";
	for (;;) {
		const { value, done } = await reader.read();
		if (done) return;
		heard();
		const events = (rest + value).split("\n\n");
		rest = events.pop();
		for (const event of events) {
			const data = event.split("\n").find((line) => line.startsWith("data:"));
			if (data) take(JSON.parse(data.slice(5)));
		}
	}
}

function take(update) {
	const now = Date.now();
	tell(services.take(update, now), now);
	if (update.services && services.isWhole) becomeLive();
}

/** Keeps changes in the history, and has them drawn and spoken. */
function tell(changes, now) {
	if (changes.length) {
		history.add(changes, now);
		if (changes.some(({ kind }) => kind === "up")) askListSoon();
		if (log.unspoken === 0) setTimeout(speak, SPEAK_MS);
		log.unspoken += changes.length;
		log.isDirty = true;
	}
	render();
}

function setState(state, reason = "") {
	Object.assign(link, { state, reason });
	document.body.dataset.state = state;
	render();
}

function becomeLive() {
	Object.assign(link, { tries: 0, lostAt: null });
	history.found(Date.now());
	setState("live");
	askList();
}

function lose() {
	clearTimeout(link.timer);
	link.attempt?.abort();
	link.attempt = null;
	if (history.since === null) return;
	link.lostAt ??= Date.now();
	history.lost(link.lostAt);
}

function failed(problem) {
	lose();
	if (problem.status === 401) return askToken();
	const pause = PAUSES_MS[Math.min(link.tries, PAUSES_MS.length - 1)] * (0.75 + Math.random() / 2);
	link.tries += 1;
	link.next = Date.now() + pause;
	link.timer = setTimeout(connect, pause);
	const reason = problem instanceof TypeError ? "nobody answers" : problem.message;
	return setState(problem.code === "not_ready" ? "waiting" : "lost", reason);
}

function askToken() {
	$("token-wrong").hidden = !token;
	sessionStorage.removeItem("token");
	token = "";
	setState("token");
	if (!$("token").open) $("token").showModal();
}

on($("token"), "cancel", (event) => event.preventDefault());
on($("token"), "submit", (event) => {
	event.preventDefault();
	token = $("token-input").value.trim();
	sessionStorage.setItem("token", token);
	$("token-input").value = "";
	$("token").close();
	setState("connecting");
	connect();
});

/* ---- What is asked for now and then ---- */

function takeStats(stats) {
	const before = registry.stats;
	const seconds = stats.uptime_seconds - (before?.uptime_seconds ?? Infinity);
	const sum = ({ commands }) => Object.values(commands).reduce((all, n) => all + n, 0);
	const rate = (of) => (seconds > 0 ? Math.round((of(stats) - of(before)) / seconds) : null);
	const at = Date.now();
	for (const [name, of] of COUNTERS) if (seconds > 0 && of(stats) > of(before)) registry.grown.set(name, at);
	Object.assign(registry, { stats, at, speed: rate(sum), beats: rate(({ commands }) => commands.heartbeat ?? 0) });
}

async function askTypes(signal) {
	const types = await ask("/api/types", signal);
	scope.counts = new Map(types.map(({ type, count }) => [type, count]));
}

async function askStats() {
	registry.at = Date.now();
	const { signal } = link.attempt;
	try {
		takeStats(await ask("/api/stats", signal));
		if (!scope.isAll) await askTypes(signal);
	} catch {
		return; // The stream finds out.
	}
	// There are clearly too many now, or few enough again, or of the chosen type.
	const { registrations } = registry.stats;
	const isOther = scope.isAll
		? registrations > SHOWN_MAX * 1.1
		: registrations < SHOWN_MAX * 0.9 || services.isKnown === (tooMany() !== null);
	if (isOther) connect();
	render();
}

let lastList = 0;
let listTimer = null;

async function askList() {
	lastList = Date.now();
	if (link.state !== "live" || tooMany()) return;
	try {
		services.takeList(await ask(`/api/list${ofType(choice.type)}`, link.attempt.signal), Date.now());
	} catch {
		return; // The stream finds out.
	}
	render();
}

/** Asks for the heartbeats soon, and not too often. */
function askListSoon() {
	listTimer ??= setTimeout(() => {
		listTimer = null;
		askList();
	}, Math.max(100, lastList + ASK_SOON_MS - Date.now()));
}

/* ---- The head ---- */

function renderHead(now) {
	const { stats, at, beats } = registry;
	const state = { lost: "not connected", waiting: "not ready", token: "token needed" }[link.state] ?? link.state;
	put($("state"), state);
	put($("uptime"), stats ? `up ${span(stats.uptime_seconds * SECOND + shownAt() - at)}` : "");
	put($("types-count"), number(counts().size));
	put($("types-word"), counts().size === 1 ? " type" : " types");
	put($("live-count"), number(live()));
	put($("beats"), beats === null ? "" : ` · ${number(beats)} heartbeats/s`);
	document.title = `${link.state === "live" ? "" : `${state} · `}${number(live())} live · discovery`;
	const isOff = link.state === "lost" || link.state === "waiting";
	$("banner").hidden = !isOff;
	if (!isOff) return;
	const what = link.state === "waiting" ? "The registry is not ready" : "Not connected";
	const since = link.lostAt && ` for ${span(now - link.lostAt)}: showing what was live at ${clock(link.lostAt)}`;
	put($("banner-text"), `${what}${since ?? ""} (${link.reason}).`);
	put($("retry"), link.next > now ? `Try now (${Math.ceil((link.next - now) / SECOND)} s)` : "Trying…");
}

/* ---- The types ---- */

const colours = new Map();
const colourOf = (type) => `c${colours.get(type) ?? COLOURS}`;

/** Gives the largest types a colour each, which they keep while there are any of them. */
function colourTypes() {
	for (const type of colours.keys()) if (!counts().has(type)) colours.delete(type);
	if (colours.size === Math.min(COLOURS, counts().size)) return;
	const free = [...Array(COLOURS).keys()].filter((n) => ![...colours.values()].includes(n));
	const largest = [...counts()].filter(([type]) => !colours.has(type)).sort((a, b) => b[1] - a[1]);
	for (const [type] of largest.slice(0, free.length)) colours.set(type, free.shift());
}

/** The types to list, each with how many of it match the search; null is all of them. */
function typesListed(searched) {
	const matches = (text) => searched.every((word) => text.includes(word));
	const listed = new Map(scope.isAll ? [] : [...scope.counts].filter(([type]) => matches(type.toLowerCase())));
	for (const { type, text, state } of scope.isAll ? services.records.values() : []) {
		if (state === "live" && matches(text)) listed.set(type, (listed.get(type) ?? 0) + 1);
	}
	const sum = [...listed.values()].reduce((all, n) => all + n, 0);
	if (choice.type !== null && !listed.has(choice.type)) listed.set(choice.type, 0);
	return [[null, sum], ...[...listed].sort((a, b) => byText(a[0], b[0]))];
}

const typeItems = new Map();

function renderTypes(searched) {
	const listed = typesListed(searched);
	const shown = listed.slice(0, TYPES_SHOWN_MAX + 1);
	putNodes($("types").firstElementChild, JSON.stringify(shown.map(([type]) => type)), () => {
		for (const type of typeItems.keys()) if (!shown.some(([other]) => other === type)) typeItems.delete(type);
		return shown.map(([type]) => {
			if (!typeItems.has(type)) typeItems.set(type, makeTypeItem(type));
			return typeItems.get(type);
		});
	});
	for (const [type, n] of shown) {
		const item = typeItems.get(type).firstElementChild;
		const isCurrent = choice.type === type;
		put(item, null, { href: fragment({ type }), "aria-current": isCurrent || null, tabindex: isCurrent ? 0 : -1 });
		put(item.firstElementChild, null, { class: type === null ? "swatch" : `swatch ${colourOf(type)}` });
		put(item.lastElementChild, number(n));
	}
	const more = listed.length - shown.length;
	put($("types-more"), more > 0 ? `and ${number(more)} more: search to find them` : "");
	const options = shown.map(([type, n]) => [type ?? "", `${type === null ? "all" : visible(type)} (${number(n)})`]);
	if (document.activeElement === $("type-select")) return; // It may be open.
	putNodes($("type-select"), options.join("\n"), () => options.map(([value, text]) => make("option", { value }, text)));
	$("type-select").value = choice.type ?? "";
}

function makeTypeItem(type) {
	const name = type === null ? make("span", {}, "all") : foreign(type);
	const spark = draw("svg", { viewBox: "0 0 48 16", "aria-hidden": "true" }, draw("path"));
	return make("li", {}, make("a", { title: visible(type ?? "") }, make("span"), name, spark, make("span.count")));
}

/** Draws for each type how many were live. */
function renderSparks(from, to) {
	const columns = 24;
	const known = Math.max(0, Math.floor((((history.since ?? to) - from) / (to - from)) * columns));
	for (const [type, values] of history.series(typeItems.keys(), from, to, columns)) {
		const most = Math.max(1, ...values);
		const heights = [...values].map((value) => 15 - (value / most) * 13).slice(known);
		const path = heights.map((height) => `V${height}h2`).join("");
		put(typeItems.get(type).querySelector("path"), null, { d: path && `M${known * 2} ${heights[0]}${path}` });
	}
}

/* ---- The timeline ---- */

const TOP = 6;
const BOTTOM = 88;
const MARKS = 94;
const AXIS = 130;
const MARK_WIDTH = 12;
const KINDS = { up: ["▲", "came"], down: ["▼", "gone"], changed: ["◆", "changed"] };
const SHAPES = { up: "M6 1l4.5 8h-9z", down: "M6 21l4.5-8h-9z", changed: "M6 7.5l3.5 3.5-3.5 3.5-3.5-3.5z" };

const layers = { areas: draw("g"), gaps: draw("g"), grid: draw("g", { "aria-hidden": "true" }), marks: draw("g") };
$("chart").append(...Object.values(layers));

/** The marks, by their part of the time; and the one that is pointed at. */
const marks = new Map();
let told = null;

function renderChart(searched) {
	const width = $("chart").clientWidth;
	const to = shownAt();
	const since = history.since ?? to;
	// While little is known, a shorter time shows it better.
	const minutes = Math.min(choice.minutes, [2, 5, 15, 60].find((few) => to - since < few * MINUTE) ?? 60);
	const from = to - minutes * MINUTE;
	const x = (at) => ((at - from) / (to - from)) * width;
	renderSparks(from, to);
	if (!width) return;
	const most = renderAreas(from, to, Math.floor(width / 2), Math.max(0, Math.ceil(x(since) / 2)));
	renderGaps(from, to, x, width);
	renderGrid(from, to, x, width, most);
	renderMarks(from, (MARK_WIDTH / width) * minutes * MINUTE, x, searched);
	renderLegend();
}

const areaTypes = () => (choice.type === null ? [...colours.keys()].sort() : [choice.type]);

/** Draws the types, one on another. Returns what is at the top. */
function renderAreas(from, to, columns, known) {
	const types = areaTypes();
	const isAll = choice.type === null;
	const series = history.series([...types, null], from, to, columns);
	const sum = isAll ? series.get(null) : series.get(choice.type);
	const highest = Math.max(1, ...sum.subarray(known));
	const power = 10 ** Math.floor(Math.log10(highest));
	const most = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= highest);
	const y = (value) => BOTTOM - (value / most) * (BOTTOM - TOP);
	const below = new Float64Array(columns);
	const paths = [...types, ...(isAll ? [null] : [])].map((type) => {
		let upper = "";
		let lower = "";
		for (let column = known; column < columns; column += 1) {
			const left = column * 2;
			// The sum of all is where the last area, that of all others, ends.
			const value = type === null ? sum[column] : below[column] + series.get(type)[column];
			upper += `L${left} ${y(value)}h2`;
			lower = `L${left + 2} ${y(below[column])}h-2${lower}`;
			below[column] = value;
		}
		return draw("path", { class: isAll ? colourOf(type) : "one", d: upper && `M${upper.slice(1)}${lower}z` });
	});
	layers.areas.replaceChildren(...paths);
	return most;
}

/** Covers the times of which nothing is known. */
function renderGaps(from, to, x, width) {
	const gaps = [[0, history.since ?? to, "not known before this page was opened"]];
	for (const gap of history.gaps) gaps.push([...gap, "not connected"]);
	const nodes = gaps.flatMap(([start, end, text]) => {
		const left = Math.max(0, x(start));
		const length = Math.min(width, x(end)) - left;
		if (length <= 0) return [];
		const middle = { x: left + length / 2, y: (TOP + BOTTOM) / 2 + 4, "text-anchor": "middle" };
		const label = length > 7 * text.length ? [draw("text", middle, text)] : [];
		return [draw("rect", { x: left, y: TOP, width: length, height: BOTTOM - TOP }), ...label];
	});
	layers.gaps.replaceChildren(...nodes);
}

function renderGrid(from, to, x, width, most) {
	const line = (x1, x2, y1, y2) => draw("line", { x1, x2, y1, y2 });
	const nodes = [line(0, width, TOP + 0.5, TOP + 0.5), line(0, width, BOTTOM + 0.5, BOTTOM + 0.5)];
	nodes.push(draw("text", { x: 2, y: TOP + 13 }, number(most)));
	const every = [1, 2, 5, 10, 20].find((minutes) => x(from + minutes * MINUTE) > 80) * MINUTE;
	const zone = new Date().getTimezoneOffset() * MINUTE;
	for (let at = Math.ceil((from - zone) / every) * every + zone; at <= to; at += every) {
		if (x(at) < 18 || x(at) > width - 18) continue;
		nodes.push(line(x(at), x(at), BOTTOM, BOTTOM + 4));
		nodes.push(draw("text", { x: x(at), y: AXIS, "text-anchor": "middle" }, clockShort(at)));
	}
	layers.grid.replaceChildren(...nodes);
}

/** Draws a mark for each part of the time, of this length, in which something came or went. */
function renderMarks(from, length, x, searched) {
	const parts = new Map();
	for (const event of history.events) {
		if (event.at < from + length || !isChosen(event, searched)) continue;
		const name = `${Math.floor(event.at / length)} of ${length}`;
		if (!parts.has(name)) parts.set(name, []);
		parts.get(name).push(event);
	}
	for (const [name, mark] of marks) {
		if (parts.has(name)) continue;
		mark.remove();
		marks.delete(name);
		if (told === mark) told = null;
	}
	for (const [name, events] of parts) {
		if (!marks.has(name)) {
			marks.set(name, draw("g", { role: "img", tabindex: -1 }));
			layers.marks.append(marks.get(name));
		}
		const mark = marks.get(name);
		mark.events = events;
		const left = Math.round(x(parseInt(name, 10) * length));
		put(mark, null, { transform: `translate(${left} ${MARKS})`, "aria-label": describe(events) });
		const kinds = new Set(events.map(({ kind }) => kind));
		putNodes(mark, [...kinds].sort().join(), () => [
			draw("rect", { width: MARK_WIDTH, height: 22, rx: 3 }),
			...[...kinds].map((kind) => draw("path", { class: kind, d: SHAPES[kind] })),
		]);
	}
	if (!layers.marks.querySelector("[tabindex='0']")) layers.marks.lastElementChild?.setAttribute("tabindex", 0);
}

/** The first few changes in words. */
function describe(events) {
	const few = events.slice(0, 3).map(({ at, kind, type, address, reason }) =>
		`${clock(at)} ${KINDS[kind].join(" ")}: ${visible(type)} ${address}${reason && `, ${reason}`}`);
	return few.join("  ") + (events.length > 3 ? `  and ${number(events.length - 3)} more` : "");
}

/** The names of the colours, or what the mark says that is pointed at. */
function renderLegend() {
	const isAll = choice.type === null;
	const types = areaTypes();
	const others = isAll ? counts().size - types.length : 0;
	const colour = (name, kind) => make("span", {}, make("span", { class: `swatch ${kind}` }), name);
	const words = told ? describe(told.events) : "";
	putNodes($("legend"), words || JSON.stringify([types, others]), () => words ? [make("b", {}, words)] : [
		...types.map((type) => colour(foreign(type), isAll ? colourOf(type) : "one")),
		...(others > 0 ? [colour(`${number(others)} more`, `c${COLOURS}`)] : []),
	]);
}

on($("timeline"), "pointerover focusin pointerout focusout", ({ type, target }) => {
	told = type.endsWith("out") ? null : target.closest("[role=img]");
	renderLegend();
});

/* ---- The table ---- */

const ageOf = ({ heard }) => (heard === null ? null : Math.max(0, shownAt() - heard));
const isLate = (record) => record.state === "live" && record.heard !== null && ageOf(record) > record.ttl * 0.9;
const keptBy = ({ held }) => (held === null ? "" : held ? "connection" : "heartbeat");

function liveFor({ since, state }) {
	if (state === "gone") return "";
	return (since === null ? "> " : "") + span(shownAt() - (since ?? history.since ?? shownAt()));
}

/** What is said of a record behind its age. */
function noteOf(record) {
	if (record.state === "gone") return record.reason.replace(/^(?!gone)/, "gone: ");
	if (record.state === "unsure") return "not back yet";
	return isLate(record) ? `${span(record.ttl - ageOf(record))} left` : "";
}

const addressNodes = ({ address }) => [button(address, () => copy(address), { tabindex: -1, title: `Copy ${address}` })];

const heardText = (record) => `${record.held} ${ageOf(record)} ${noteOf(record)}`;

function heardNodes(record) {
	const note = make("span.note", {}, noteOf(record));
	const age = ageOf(record);
	if (record.state !== "live" || age === null) return [record.state === "live" && record.held ? "–" : "", note];
	const left = make("i");
	left.style.width = `${Math.max(0, Math.round(100 - (100 * age) / record.ttl))}%`;
	return [make("span.age", { title: date(record.heard) }, span(age)), make("span.left", {}, left), note];
}

const ttlText = ({ ttl }) => (ttl === null ? "–" : `${number(ttl / SECOND)} s`);
const tagsText = ({ tags }) => visible(tags.join(", "));
const pairsText = ({ pairs }) => visible(pairs.map((pair) => pair.join("=")).join(", "));
const tagOf = (tag) => make("span.tag", {}, foreign(tag));
const pairOf = ([key, value]) => make("span.pair", {}, make("span.key", {}, `${key}=`), foreign(value));
const some = (values, one) => [...values.slice(0, LABELS_SHOWN_MAX).map(one), values[LABELS_SHOWN_MAX] ? "…" : ""];

/** The columns: by what they sort, and what they show. */
const COLUMNS = [
	{ name: "type", title: "Type", by: ({ type }) => type, text: ({ type }) => visible(type) },
	{ name: "address", title: "Address", by: ({ key }) => key, text: ({ address }) => address, nodes: addressNodes },
	{ name: "heard", title: "Last heard", by: ageOf, text: heardText, nodes: heardNodes },
	{ name: "ttl", title: "TTL", by: ({ ttl }) => ttl, text: ttlText },
	{ name: "kept", title: "Kept by", by: keptBy, text: keptBy },
	{ name: "for", title: "Live for", by: ({ since }) => -since, text: liveFor },
	{ name: "tags", title: "Tags", by: tagsText, text: tagsText, nodes: ({ tags }) => some(tags, tagOf) },
	{ name: "meta", title: "Metadata", by: pairsText, text: pairsText, nodes: ({ pairs }) => some(pairs, pairOf) },
];

const scroller = $("scroller");
const head = document.querySelector("thead tr");
const body = document.querySelector("tbody");
const spaces = [0, 1].map(() => make("tr.space", { "aria-hidden": "true" }, make("td")));
body.append(...spaces);
for (const { name, title } of COLUMNS) {
	const sort = () => choose({ sort: choice.sort === name ? `-${name}` : name });
	head.append(make(`th.${name}`, { role: "columnheader" }, button(title, sort)));
}

/** The rows in their order, the elements of those that are drawn by id, and the id that the keys have reached. */
const table = { rows: [], drawn: new Map(), active: null, heldUntil: 0, rowHeight: 0 };

function compareBy(sort) {
	const { by } = COLUMNS.find(({ name }) => name === sort.replace("-", ""));
	const sign = sort.startsWith("-") ? -1 : 1;
	return (a, b) => sign * byText(by(a), by(b)) || byText(a.type, b.type) || byText(a.key, b.key) || byText(a.id, b.id);
}

/** Decides which records are rows. They do not move while somebody is about to click one. */
function arrange(now, searched) {
	const wanted = [...services.records.values()].filter((record) => isChosen(record, searched));
	let more = 0;
	if (now < table.heldUntil) {
		const ids = new Set(table.rows.map(({ id }) => id));
		more = wanted.filter(({ id, state }) => state !== "gone" && !ids.has(id)).length;
		table.rows = table.rows.map((record) => services.records.get(record.id) ?? record);
	} else table.rows = wanted.sort(compareBy(choice.sort));
	$("more").hidden = more === 0;
	put($("more"), `Show ${number(more)} more`);
}

function renderTable(now, searched) {
	arrange(now, searched);
	put($("caption"), `Addresses of ${visible(choice.type ?? "all types")}. Enter tells all about one, c copies it.`);
	const kind = choice.type === null ? "" : "is-one-type";
	put($("caption").parentNode, null, { class: kind, "aria-rowcount": table.rows.length + 1 });
	const order = choice.sort.startsWith("-") ? "descending" : "ascending";
	const sorted = choice.type !== null && choice.sort === "type" ? "address" : choice.sort.replace("-", "");
	for (const cell of head.children) put(cell, null, { "aria-sort": cell.className === sorted ? order : null });
	const why = tooMany() ?? (table.rows.length || !services.isKnown ? "" : "Nothing that is live matches.");
	const showAll = button("Show all", () => choose({ type: null, search: "" }));
	putNodes($("nothing"), why, () => (why && !tooMany() ? [why, showAll] : [why]));
	drawRows(now);
}

/** Draws the rows that can be seen, and a few more. */
function drawRows(now) {
	const { rows, rowHeight, drawn } = table;
	const { top } = body.getBoundingClientRect();
	const view = scroller.getBoundingClientRect();
	const row = (y, beyond) => Math.min(rows.length, Math.max(0, Math.floor((y - top) / rowHeight) + beyond));
	const first = row(Math.max(view.top, 0), -4);
	const last = Math.max(first, row(Math.min(view.bottom, innerHeight), 5));
	const seen = rows.slice(first, last);
	const ids = new Set(seen.map(({ id }) => id));
	for (const [id, old] of drawn) {
		if (ids.has(id)) continue;
		// The focus is not lost when its row is scrolled away: the arrow keys find back.
		if (old === document.activeElement) scroller.focus({ preventScroll: true });
		old.remove();
		drawn.delete(id);
	}
	if (!rows.some(({ id }) => id === table.active)) table.active = rows[0]?.id ?? null;
	spaces[0].firstChild.style.height = `${first * rowHeight}px`;
	spaces[1].firstChild.style.height = `${(rows.length - last) * rowHeight}px`;
	seen.forEach((record, index) => {
		if (!drawn.has(record.id)) drawn.set(record.id, makeRow(record));
		const element = drawn.get(record.id);
		if (body.children[index + 1] !== element) body.insertBefore(element, body.children[index + 1]);
		const isNew = record.state === "live" && record.since !== null && now - record.since < 2 * SECOND;
		const state = `is-${isNew ? "new" : record.state}${isLate(record) ? " is-late" : ""}`;
		put(element, null, { class: state, "aria-rowindex": first + index + 2, tabindex: record.id === table.active ? 0 : -1 });
		COLUMNS.forEach(({ text, nodes }, column) => {
			const shown = text(record);
			const cell = element.children[column];
			putNodes(cell, shown, () => nodes?.(record) ?? [make("bdi", {}, shown)]);
			if (/type|tags|meta/.test(cell.className)) cell.title = shown;
		});
		if (isLate(record) && now - lastList > ASK_SOON_MS) askListSoon();
	});
}

function makeRow({ id }) {
	return make("tr", { role: "row", "data-id": id }, ...COLUMNS.map(({ name }) => make(`td.${name}`, { role: "cell" })));
}

/** Moves the focus to the row of this number. */
function focusRow(index) {
	const at = Math.max(0, Math.min(table.rows.length - 1, index));
	table.active = table.rows[at].id;
	const view = scroller.getBoundingClientRect();
	const top = body.getBoundingClientRect().top + at * table.rowHeight;
	const above = Math.max(view.top, 0) + head.clientHeight - top;
	const below = top + table.rowHeight - Math.min(view.bottom, innerHeight);
	const scrolled = scroller.scrollHeight > scroller.clientHeight + 1 ? scroller : window;
	scrolled.scrollBy(0, above > 0 ? -above : Math.max(0, below));
	drawRows(Date.now());
	table.drawn.get(table.active)?.focus({ preventScroll: true });
}

on(body, "click", ({ target }) => {
	const record = services.records.get(target.closest("tr").dataset.id);
	if (!record) return;
	table.active = record.id;
	if (!target.closest("button") && getSelection().isCollapsed) showDetails(record);
});
const STEPS = {
	ArrowDown: 1, ArrowRight: 1, PageDown: 10, End: Infinity, ArrowUp: -1, ArrowLeft: -1, PageUp: -10, Home: -Infinity,
};
on(scroller, "keydown", (event) => {
	const at = table.rows.findIndex(({ id }) => id === table.active);
	if (at < 0 || event.target.closest("button") || event.ctrlKey || event.metaKey || event.altKey) return;
	if (event.key in STEPS) focusRow(at + STEPS[event.key]);
	else if (event.key === "Enter") showDetails(table.rows[at]);
	else if (event.key === "c") copy(table.rows[at].address);
	else return;
	event.preventDefault();
});
on(scroller, "pointermove pointerdown focusin keydown", () => (table.heldUntil = Date.now() + HOLD_MS));

function release() {
	table.heldUntil = 0;
	render();
}
on(scroller, "pointerleave", release);
on(scroller, "focusout", ({ relatedTarget }) => scroller.contains(relatedTarget) || release());
on($("more"), "click", release);

/** Tells all about one registration. */
function showDetails(record) {
	const facts = COLUMNS.filter(({ name }) => !/address|meta/.test(name)).map(({ name, title, text, nodes }) =>
		[title, name === "tags" ? record.tags.map(tagOf) : (nodes?.(record) ?? [text(record)])]);
	for (const [key, value] of record.pairs) facts.push([key, [foreign(value)]]);
	facts.push(["Id", [record.id]]);
	put($("details-title"), record.address);
	$("details-facts").replaceChildren(...facts.flatMap(([name, nodes]) => [make("dt", {}, name), make("dd", {}, ...nodes)]));
	$("details-copy").onclick = () => copy(record.address);
	$("details").showModal();
}

/* ---- The registry itself ---- */

/** Counters that should not grow: a name, where it stands, a unit, and what it means that it has grown. */
const COUNTERS = [
	["Stalled", (stats) => stats.stalled_seconds, " s", "it stood still: its host was suspended or is overloaded"],
	["Refused connections", (stats) => stats.refused_connections, "", "more clients than --max-connections"],
];

function renderRegistry(now) {
	const { stats, speed, grown } = registry;
	if (!stats) return;
	const turn = stats.worst_turn_us;
	const rows = [
		["Connections", number(stats.connections)],
		["Watchers", number(stats.watchers)],
		["Commands a second", speed === null ? "–" : number(speed)],
		["Worst turn", `${number(turn / 1000)} ms`, turn > WORST_TURN_US && "nobody was answered meanwhile"],
	];
	for (const [name, of, unit, why] of COUNTERS) {
		if (of(stats) > 0) rows.push([name, number(of(stats)) + unit, now - grown.get(name) < WORRY_MS && why]);
	}
	const worries = rows.filter(([, , why]) => why).length;
	const health = worries ? `${worries} to look at` : "well";
	put($("health"), link.state === "live" ? health : "", { class: worries ? "worry" : "" });
	put($("worries"), worries ? `▲ ${health}` : "");
	put($("version"), visible(stats.version));
	putNodes($("facts"), JSON.stringify(rows), () => rows.flatMap(([name, value, why]) => [
		make("dt", {}, name),
		make("dd", { class: why ? "worry" : "" }, why ? `▲ ${value}` : value),
		...(why ? [make("dd.why", {}, why)] : []),
	]));
}

on($("worries"), "click", () => $("registry").scrollIntoView());

/* ---- The log, and what a screen reader is told ---- */

/** Whether the log is behind, and how many changes have not been spoken. */
const log = { isDirty: true, unspoken: 0 };

function speak() {
	const few = history.events.slice(-Math.min(3, log.unspoken));
	const said = few.map(({ kind, type, address, reason }) => `${visible(type)} ${address} ${KINDS[kind][1]} ${reason}`);
	if (log.unspoken > few.length) said.push(`and ${number(log.unspoken - few.length)} more`);
	put($("said"), `${said.join("; ")}. ${number(live())} live.`);
	log.unspoken = 0;
}

function renderLog(searched) {
	if (!log.isDirty) return;
	log.isDirty = false;
	const shown = history.events.filter((event) => isChosen(event, searched)).slice(-LOG_MAX).reverse();
	put($("log-none"), shown.length ? "" : "Nothing that is chosen here has changed since this page was opened.");
	$("log-list").replaceChildren(...shown.map(({ at, kind, type, address, reason }) => make(`li.${kind}`, {},
		make("time", { title: date(at) }, clock(at)),
		make("span.sign", { "aria-hidden": "true" }, KINDS[kind][0]),
		make("span.unseen", {}, KINDS[kind][1]),
		foreign(type),
		make("span.mono", {}, address),
		make("span.why", {}, reason))));
}

/* ---- Nothing is registered yet ---- */

function renderEmpty() {
	const isChoice = choice.type !== null || choice.search;
	const isEmpty = link.state === "live" && scope.isAll && services.records.size === 0 && !isChoice;
	$("empty").hidden = !isEmpty;
	$("services").hidden = isEmpty;
	$("timeline").hidden = isEmpty && history.events.length === 0;
	if (!isEmpty) return;
	const { hostname, origin } = location;
	const port = location.port || (origin.startsWith("https") ? 443 : 80);
	const ways = [
		["A program, for as long as it runs",
			`discovery run web 8000 --server ${hostname}:${port}${token && " --token-file FILE"} -- python3 -m http.server 8000`],
		["A line of text, for 30 s or until the next heartbeat",
			`printf '${token && "auth TOKEN\\n"}register web - 8000\\n' | nc -N ${hostname.replace(/[[\]]/g, "")} ${port}`],
		["An HTTP request, likewise",
			`curl ${token && "-H 'Authorization: Bearer TOKEN' "}-d '{"type":"web","port":8000}' ${origin}/api/register`],
	];
	putNodes($("ways"), ways.join(), () => ways.map(([title, command]) => make("li", {}, title, make("div", {},
		make("code", {}, command),
		button("Copy", () => copy(command), { "aria-label": `Copy: ${title}` })))));
}

/* ---- All of it ---- */

let isDue = false;
let renderedAt = 0;

/** Has the page drawn with the next frame; less often where there is much to draw. */
function render() {
	if (isDue) return;
	isDue = true;
	const pause = services.records.size > 2_000 ? renderedAt + 250 - Date.now() : 0;
	setTimeout(() => requestAnimationFrame(renderNow), pause);
}

function renderNow() {
	isDue = false;
	const now = Date.now();
	renderedAt = now;
	const searched = words();
	services.countAll();
	if (link.state === "live" && (services.isWhole || !scope.isAll)) history.note(counts(), live(), now);
	colourTypes();
	renderHead(now);
	renderTypes(searched);
	renderEmpty();
	renderChart(searched);
	if (!$("services").hidden) renderTable(now, searched);
	renderRegistry(now);
	renderLog(searched);
}

/** What goes on without anybody's doing, every second. */
function tick() {
	const now = Date.now();
	if (link.state === "live") {
		tell(services.sweep(now), now);
		if (now - lastList >= ASK_MS + ASK_MS_A_ROW * table.rows.length) askList();
		if (now - registry.at >= ASK_MS) askStats();
	}
	render();
}

/** Lets the arrow keys move along a list, of which the Tab key stops at one entry only. */
function moveWithKeys(list, entries) {
	on(list, "keydown", (event) => {
		const all = [...list.querySelectorAll(entries)];
		const at = all.indexOf(document.activeElement) + STEPS[event.key];
		if (Number.isNaN(at)) return;
		event.preventDefault();
		const next = all[Math.max(0, Math.min(all.length - 1, at))];
		for (const entry of all) put(entry, null, { tabindex: entry === next ? 0 : -1 });
		next.focus();
	});
}
moveWithKeys($("types"), "a");
moveWithKeys($("chart"), "[role=img]");

on(document, "keydown", (event) => {
	if (document.querySelector("dialog[open]")) return;
	if (event.key === "/" && event.target !== $("search") && !event.ctrlKey && !event.metaKey && !event.altKey) {
		event.preventDefault();
		$("search").select();
	} else if (event.key === "Escape") choose(choice.search ? { search: "" } : { type: null });
});
on($("search"), "input", () => choose({ search: $("search").value }));
on($("type-select"), "change", ({ target }) => {
	target.blur();
	choose({ type: target.value || null });
});
on($("minutes"), "change", () => choose({ minutes: Number($("minutes").value) }));
on($("retry"), "click", connect);

function measure() {
	table.rowHeight = parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));
	render();
}

/** While nobody looks, no connection is used. */
function leave() {
	lose();
	if (link.state === "live") setState("connecting");
}

on(window, "hashchange popstate", chosen);
on(window, "resize", measure);
on(window, "online", connect);
on(window, "pagehide", leave);
document.addEventListener("scroll", () => drawRows(Date.now()), { capture: true, passive: true });
on(document, "visibilitychange", () => {
	if (document.hidden) leave();
	else if (link.state !== "token") connect();
});

$("app").hidden = false;
put($("host"), location.host);
readFragment();
measure();
setInterval(tick, SECOND);
connect();
