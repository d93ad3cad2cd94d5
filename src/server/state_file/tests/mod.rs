//! Both threads' work, step by step, on a disk that fails.

mod always;
mod faults;
mod files;

use std::borrow::Cow;
use std::cell::RefCell;
use std::num::NonZeroU16;
use std::rc::Rc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::fake_disk::FakeDisk;
use super::syncer::ToSyncer;
use super::*;
use crate::message::ServiceAddress;
use crate::registry::{KeyedHash, Registry};
use crate::state::{Record, Up};
use crate::time::Moment;

const PATH: &str = "/state";
const SECOND: Duration = Duration::from_secs(1);

fn make(services_max: u32) -> Service {
    let registry = Registry::new(services_max, KeyedHash::new(0x5eed));
    Service::new(registry, Box::new(Uuid::nil), 30 * SECOND)
}

/// A state file whose threads do a step when a test says so.
struct Steps {
    disk: FakeDisk,
    service: Service,
    file: StateFile,
    journal: Rc<RefCell<FileJournal>>,
    now: Instant,
    last: u32,
}

fn open_as(disk: &FakeDisk, services_max: u32) -> Result<(Service, StateFile), StateError> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let path = Path::new(PATH);
    let wake = Box::new(|| ());
    open_on(
        shared,
        path,
        Some(5 * SECOND),
        services_max,
        &mut make,
        wake,
    )
}

impl Steps {
    fn on(disk: &FakeDisk) -> Self {
        let (service, mut file) = open_as(disk, 1_000_000).expect("it opens");
        let (writer, _) = channel();
        let (_, reports) = channel();
        let idle = FileJournal {
            writer,
            reports,
            saved: Batch(0),
            stats: StateStats::default(),
            is_synced: true,
            unsynced_since: None,
            is_closed: false,
        };
        let journal = std::mem::replace(&mut file.journal, idle);
        Steps {
            disk: disk.clone(),
            service,
            file,
            journal: Rc::new(RefCell::new(journal)),
            now: Instant::now(),
            last: 0,
        }
    }

    /// Hands a batch of records over.
    fn submit(&mut self, records: &[Record<'_>]) -> Batch {
        let mut bytes = Vec::new();
        records.iter().for_each(|record| record.encode(&mut bytes));
        self.last += 1;
        self.journal.submit(Batch(self.last), bytes);
        Batch(self.last)
    }

    /// One step of the writer; `false` when it would wait.
    fn write(&mut self) -> bool {
        let writer = &mut self.file.writer;
        let mut has_work = writer.wait(self.now) == Some(Duration::ZERO);
        while let Ok(message) = self.file.told.try_recv() {
            writer.hear(message, self.now);
            has_work = true;
        }
        if has_work {
            writer.advance(self.now);
        }
        has_work
    }

    /// What the syncer does now; `false` when it would wait.
    fn sync(&mut self) -> bool {
        let syncer = &mut self.file.syncer;
        let mut has_work = false;
        while let Ok(message) = self.file.asked.try_recv() {
            syncer.hear(message, self.now);
            has_work = true;
        }
        if syncer.due().is_some_and(|due| due <= self.now) {
            syncer.sync(self.now);
            has_work = true;
        }
        has_work
    }

    fn settle(&mut self) {
        while self.write() | self.sync() {}
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.settle();
    }

    fn is_saved(&mut self, batch: Batch) -> bool {
        self.journal.saved() == batch
    }

    fn is_failing(&mut self) -> bool {
        self.journal.saved();
        self.journal.is_failing()
    }

    fn up(&mut self, number: u16) -> Batch {
        self.submit(&[Record::Up(up(number))])
    }
}

fn uuid(number: u16) -> Uuid {
    Uuid::from_u128(number.into())
}

fn up(number: u16) -> Up<'static> {
    Up {
        uuid: uuid(number),
        right: uuid(number),
        ttl_ms: 30_000,
        held: false,
        address: ServiceAddress {
            ip: [10, 0, 0, 1].into(),
            port: NonZeroU16::new(number + 1).expect("a port"),
        },
        service_type: Cow::Borrowed("hive"),
        labels: None,
    }
}

/// The numbers of what a new process finds on the disk, oldest first.
fn found(disk: &FakeDisk) -> Vec<u16> {
    let (service, _) = open_as(disk, 1_000_000).expect("it opens");
    numbers(&service)
}

fn numbers(service: &Service) -> Vec<u16> {
    let Some(view) = service.registry().service_type("hive") else {
        return Vec::new();
    };
    let records = view.records(Moment::START);
    records
        .map(|record| record.address.port.get() - 1)
        .collect()
}
