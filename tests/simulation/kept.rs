//! The state file of a simulated world, and what must hold of it at any moment.

use std::collections::BTreeMap;
use std::time::Duration;

use discovery_service::registry::{KeyedHash, Registry};
use discovery_service::service::Service;
use discovery_service::time::Moment;
use uuid::Uuid;

use crate::history::History;
use crate::journal::FakeFile;
use crate::model::Live;
use crate::net::Pipe;
use crate::rng::Rng;

/// The longest time for which the disk of a world takes nothing: shorter than what a gate waits for.
const DELAY_MAX: Duration = Duration::from_millis(400);

/// The file, and what it must have after each batch.
pub struct Kept {
    pub file: FakeFile,
    rng: Rng,
    /// What is live after each of the batches that were submitted.
    after: Vec<BTreeMap<Uuid, Live>>,
    /// Bytes of what each client has received that were looked at.
    read: BTreeMap<usize, usize>,
    /// How long something has been under way.
    waited: Duration,
    calm: bool,
}

impl Kept {
    pub fn new(seed: u64) -> Self {
        Kept {
            file: FakeFile::new(),
            rng: Rng::new(!seed),
            after: vec![BTreeMap::new()],
            read: BTreeMap::new(),
            waited: Duration::ZERO,
            calm: false,
        }
    }

    /// The disk delays and fails no more.
    pub fn calm_down(&mut self) {
        self.calm = true;
        self.file.set_failing(false);
        self.file.set_prompt(true);
    }

    /// Before a turn: time has passed, in which the disk has taken some of what was under way.
    pub fn pass(&mut self, time: Duration) {
        self.waited += time;
        if self.file.under_way() == 0 || self.waited >= DELAY_MAX {
            self.file.save(usize::MAX);
            self.waited = Duration::ZERO;
        } else {
            self.file.save(usize::from(self.rng.chance(30)));
        }
        if !self.calm && self.rng.chance(1) {
            self.file.compact();
        }
    }

    /// After a turn: nobody was told of a registration that is not saved. Now and then the service is
    /// killed, and what a new one finds is compared.
    pub fn check<'a>(&mut self, history: &History, pipes: impl Iterator<Item = (usize, &'a Pipe)>) {
        for (client, pipe) in pipes {
            self.nothing_is_told_before_it_is_saved(client, pipe);
        }
        while self.after.len() <= self.file.submitted() {
            self.after.push(history.live().clone());
        }
        if !self.rng.chance(1) {
            return;
        }
        let registry = Registry::new(1_000, KeyedHash::new(0x5eed));
        let mut service = Service::new(registry, Box::new(Uuid::nil), Duration::from_secs(1));
        let file = &self.file;
        file.replay(&mut |record| service.restore(record).expect("there is room"));
        let found: BTreeMap<Uuid, Live> = service
            .registry()
            .types()
            .flat_map(|view| view.records(Moment::START))
            .map(|record| (record.uuid, Live::of(&record)))
            .collect();
        assert_eq!(
            &found,
            &self.after[self.file.saved()],
            "what was saved is there"
        );
    }

    fn nothing_is_told_before_it_is_saved(&mut self, client: usize, pipe: &Pipe) {
        let read = self.read.entry(client).or_default();
        while let Some(len) = pipe.received[*read..]
            .iter()
            .position(|&byte| byte == b'\n')
        {
            let line = &pipe.received[*read..*read + len];
            *read += len + 1;
            if line.len() == 36
                && let Ok(uuid) = Uuid::try_parse_ascii(line)
            {
                assert!(
                    self.file.has_saved(&uuid),
                    "{uuid} was told before it was saved"
                );
            }
        }
    }
}
