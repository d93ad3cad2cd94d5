//! The page and what belongs to it, embedded in the binary.

use super::response::Content;
use super::route::Route;

/// A file that is served as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asset {
    pub(super) content: Content,
    pub(super) bytes: &'static [u8],
    /// Changes with its bytes, so that a browser asks for them only when they have changed.
    pub(super) etag: Etag,
}

/// The hash of a file in quotes, as the field gives it.
pub(super) type Etag = [u8; 18];

static PAGE: Asset = Asset::new(Content::Page, include_bytes!("../../page/index.html"));
static STYLE: Asset = Asset::new(Content::Style, include_bytes!("../../page/page.css"));
static SCRIPT: Asset = Asset::new(Content::Script, include_bytes!("../../page/page.js"));
static OPENAPI: Asset = Asset::new(Content::Json, include_bytes!("openapi.json"));

impl Asset {
    const fn new(content: Content, bytes: &'static [u8]) -> Self {
        Asset {
            content,
            bytes,
            etag: etag(bytes),
        }
    }

    /// The file of this route, if it is one.
    pub(super) fn of(route: Route) -> Option<&'static Asset> {
        match route {
            Route::Page => Some(&PAGE),
            Route::Style => Some(&STYLE),
            Route::Script => Some(&SCRIPT),
            Route::OpenApi => Some(&OPENAPI),
            _ => None,
        }
    }

    /// Whether a list of such hashes, of what a browser has, has the file's. `*` is any (RFC 9110 section
    /// 13.1.2).
    pub(super) fn is_in(&self, list: &[u8]) -> bool {
        list == b"*" || list.windows(self.etag.len()).any(|etag| etag == self.etag)
    }
}

/// The FNV-1a hash of the bytes, which the compiler computes.
const fn etag(bytes: &[u8]) -> Etag {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(0x0100_0000_01b3);
        index += 1;
    }
    let mut etag = [b'"'; 18];
    let mut digit = 0;
    while digit < 16 {
        etag[1 + digit] = b"0123456789abcdef"[((hash >> (60 - 4 * digit)) & 15) as usize];
        digit += 1;
    }
    etag
}
