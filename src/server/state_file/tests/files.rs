//! What becomes of the file.

use std::io::ErrorKind;

use super::*;
use crate::limits::STATE_COMPACT_LEN_MIN;
use crate::state::Header;

#[test]
fn row_60_a_crash_amid_a_rewrite_leaves_the_old_file_and_its_rest_is_deleted() {
    let disk = FakeDisk::default();
    let mut steps = Steps::on(&disk);
    for number in 0..18_000 {
        if number < 50 {
            steps.up(number);
        }
        steps.submit(&[Record::Up(up(60)), Record::Down(uuid(60))]);
    }
    let mut amid = 0;
    loop {
        let has_work = steps.write();
        if disk.bytes("/state.new").is_some() {
            amid += 1;
            if amid % 8 == 1 {
                let after = disk.after_kill();
                assert_eq!(found(&after).len(), 50);
                assert_eq!(after.bytes("/state.new"), None, "it is deleted");
            }
        }
        if !has_work && !steps.sync() {
            break;
        }
    }
    assert!(amid > 10, "{amid}");
    assert!(disk.bytes(PATH).unwrap().len() < 10_000, "it is short");
    assert_eq!(found(&disk.after_kill()).len(), 50);
}

#[test]
fn row_60_a_file_is_at_most_twice_as_long_as_what_lives_and_a_mebibyte() {
    let disk = FakeDisk::default();
    let mut steps = Steps::on(&disk);
    let mut live_len = 0;
    for number in 0..10_000 {
        let mut bytes = Vec::new();
        Record::Up(up(number)).encode(&mut bytes);
        live_len += bytes.len();
        steps.up(number);
    }
    let most = 2 * live_len + STATE_COMPACT_LEN_MIN as usize;
    for _ in 0..300 {
        for number in 20_000..20_200 {
            steps.submit(&[Record::Up(up(number)), Record::Down(uuid(number))]);
        }
        steps.settle();
        let len = disk.bytes(PATH).unwrap().len();
        assert!(len <= most, "{len} bytes, {most} at most");
    }
    // What has gone as well is not kept either.
    for number in 0..9_990 {
        steps.submit(&[Record::Down(uuid(number))]);
    }
    for _ in 0..20_000 {
        steps.submit(&[Record::Up(up(1)), Record::Down(uuid(1))]);
    }
    steps.settle();
    let len = disk.bytes(PATH).unwrap().len();
    assert!(len <= STATE_COMPACT_LEN_MIN as usize + 1_000, "{len} bytes");
    assert_eq!(found(&disk.after_kill()).len(), 10);
}

#[test]
fn row_60_another_programs_file_is_left_alone_and_one_of_a_later_version_is_put_aside() {
    let disk = FakeDisk::default();
    disk.put(PATH, b"something else altogether, of another program");
    let refused = open_as(&disk, 10).err();
    assert!(matches!(refused, Some(StateError::Foreign)), "{refused:?}");
    assert_eq!(
        disk.bytes(PATH).unwrap(),
        b"something else altogether, of another program"
    );
    let mut newer = Header::default().encode();
    newer[8] = 2;
    let sum = crc32fast::hash(&newer[..28]).to_le_bytes();
    newer[28..].copy_from_slice(&sum);
    for name in ["/state.v2", "/state.v2.1"] {
        disk.put(PATH, &newer);
        let mut steps = Steps::on(&disk);
        steps.up(1);
        steps.settle();
        assert_eq!(found(&disk.after_kill()), [1]);
        assert_eq!(disk.bytes(name).unwrap(), newer, "{name}");
    }
}

#[test]
fn row_60_a_damaged_file_is_kept_once_and_written_anew() {
    let disk = FakeDisk::default();
    let mut steps = Steps::on(&disk);
    for number in 0..100 {
        steps.up(number);
    }
    steps.settle();
    let mut damaged = disk.bytes(PATH).unwrap();
    damaged[1_000] ^= 1;
    disk.put(PATH, &damaged);
    let mut steps = Steps::on(&disk);
    assert_eq!(steps.service.registry().len(), 99);
    assert_eq!(steps.journal.stats().skipped_len, 39);
    steps.up(200);
    steps.settle();
    assert_eq!(
        disk.bytes("/state.damaged").unwrap()[..damaged.len()],
        damaged
    );
    disk.delete("/state.damaged");
    let steps = Steps::on(&disk);
    assert_eq!(steps.service.registry().len(), 100);
    assert_eq!(disk.bytes("/state.damaged"), None);
}

#[test]
fn row_60_of_more_than_there_is_room_for_the_oldest_stay() {
    let disk = FakeDisk::default();
    let mut steps = Steps::on(&disk);
    for number in 0..10 {
        steps.up(number);
    }
    steps.submit(&[Record::Down(uuid(0)), Record::Up(up(0))]);
    steps.submit(&[Record::Down(uuid(2))]);
    steps.settle();
    let (service, _) = open_as(&disk, 4).unwrap();
    assert_eq!(numbers(&service), [1, 3, 4, 5]);
    assert_eq!(service.registry().services_max(), 4);
}

#[test]
fn row_60_nothing_is_written_before_something_changes_and_nothing_is_due_when_all_is_synced() {
    let disk = FakeDisk::default();
    let mut steps = Steps::on(&disk);
    steps.pass(3_600 * SECOND);
    assert_eq!(disk.appended(), 0);
    steps.up(1);
    steps.settle();
    steps.pass(10 * SECOND);
    assert_eq!(steps.file.writer.wait(steps.now), None);
    assert_eq!(steps.file.syncer.due(), None);
    let appended = disk.appended();
    steps.pass(3_600 * SECOND);
    assert_eq!(disk.appended(), appended);
}

#[test]
fn row_60_a_stop_writes_and_syncs_what_is_left_and_does_not_wait_for_a_disk_that_fails() {
    let disk = FakeDisk::default();
    let mut steps = Steps::on(&disk);
    steps.up(1);
    let _ = steps.file.writer.links.syncer.send(ToSyncer::Stop);
    steps.settle();
    // The threads as they are.
    let (_, file) = open_as(&disk, 10).unwrap();
    let mut journal = Rc::new(RefCell::new(file.start().unwrap()));
    let mut bytes = Vec::new();
    Record::Up(up(2)).encode(&mut bytes);
    journal.submit(Batch(1), bytes.clone());
    journal.borrow_mut().close(20 * SECOND);
    assert!(journal.borrow().is_closed);
    assert_eq!(found(&disk.after_power_loss(&mut |_| 0)), [1, 2]);
    let (_, file) = open_as(&disk, 10).unwrap();
    let mut journal = Rc::new(RefCell::new(file.start().unwrap()));
    disk.set(|faults| faults.write = Some(ErrorKind::StorageFull));
    journal.submit(Batch(1), bytes);
    journal.borrow_mut().close(20 * SECOND);
    assert!(journal.borrow().is_closed);
}
