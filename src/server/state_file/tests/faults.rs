//! A disk that is full, fails, is read-only, or loses the file.

use std::io::ErrorKind;

use super::*;

#[test]
fn row_60_a_full_disk_is_cut_back_told_and_tried_again_each_second() {
    let disk = FakeDisk::default();
    let mut steps = Steps::on(&disk);
    let first = steps.up(1);
    steps.settle();
    assert!(steps.is_saved(first) && !steps.is_failing());
    let len = disk.bytes(PATH).unwrap().len();
    // A part of the record has room.
    disk.set(|faults| faults.room = Some(20));
    steps.up(2);
    let last = steps.up(3);
    steps.settle();
    assert!(steps.is_saved(first) && steps.is_failing());
    assert_eq!(disk.bytes(PATH).unwrap().len(), len, "cut back");
    assert_eq!(found(&disk.after_kill()), [1]);
    disk.set(|faults| faults.room = None);
    steps.pass(SECOND / 2);
    assert!(steps.is_saved(first), "not yet");
    steps.pass(SECOND / 2);
    assert!(steps.is_saved(last) && !steps.is_failing());
    assert_eq!(found(&disk.after_kill()), [1, 2, 3]);
}

#[test]
fn row_60_after_an_error_of_the_disk_the_file_is_written_anew_and_nothing_is_lost() {
    let fails = Some(ErrorKind::Other);
    for (write, cut, sync) in [
        (fails, None, None),
        (fails, fails, None),
        (None, None, fails),
    ] {
        let disk = FakeDisk::default();
        let mut steps = Steps::on(&disk);
        for number in 0..5 {
            steps.up(number);
        }
        steps.settle();
        let old = steps.disk.identity(Path::new(PATH)).unwrap();
        disk.set(|faults| (faults.write, faults.cut, faults.sync) = (write, cut, sync));
        let last = steps.up(5);
        steps.settle();
        steps.pass(2 * SECOND);
        assert!(steps.is_failing());
        assert_eq!(found(&disk.after_kill())[..5], [0, 1, 2, 3, 4]);
        disk.set(|faults| (faults.write, faults.cut, faults.sync) = (None, None, None));
        steps.pass(SECOND);
        assert!(steps.is_saved(last) && !steps.is_failing());
        assert_ne!(steps.disk.identity(Path::new(PATH)).unwrap(), old);
        assert_eq!(found(&disk.after_kill()), [0, 1, 2, 3, 4, 5]);
    }
}

#[test]
fn row_60_what_cannot_be_read_any_more_is_counted_and_the_rest_is_kept() {
    let disk = FakeDisk::default();
    let mut steps = Steps::on(&disk);
    for number in 0..1_000 {
        steps.up(number);
    }
    steps.settle();
    disk.set(|faults| (faults.write, faults.unreadable) = (Some(ErrorKind::Other), 4096..8192));
    steps.up(1_000);
    steps.settle();
    disk.set(|faults| faults.write = None);
    steps.pass(SECOND);
    steps.journal.saved();
    assert!(!steps.is_failing());
    assert_eq!(steps.journal.stats().skipped_len, 4096);
    disk.set(|faults| faults.unreadable = 0..0);
    let left = found(&disk.after_kill());
    assert!((890..=900).contains(&left.len()), "{}", left.len());
    assert_eq!(left.last(), Some(&1_000));
}

#[test]
fn row_60_a_disk_that_is_read_only_at_first_is_tried_again_each_10_s() {
    for earlier in [false, true] {
        let disk = FakeDisk::default();
        if earlier {
            let mut steps = Steps::on(&disk);
            steps.up(1);
            steps.settle();
        }
        disk.set(|faults| faults.read_only = true);
        let mut steps = Steps::on(&disk);
        let before = numbers(&steps.service);
        assert_eq!(before, if earlier { vec![1] } else { vec![] });
        let batch = steps.up(2);
        steps.settle();
        steps.journal.saved();
        assert!(steps.is_failing());
        disk.set(|faults| faults.read_only = false);
        steps.pass(9 * SECOND);
        assert!(steps.is_failing());
        steps.pass(SECOND);
        assert!(steps.is_saved(batch) && !steps.is_failing());
        let after = found(&disk.after_kill());
        assert_eq!(after, [before, vec![2]].concat());
    }
}

#[test]
fn row_60_a_file_that_is_deleted_or_replaced_is_written_anew_at_the_next_sync() {
    for replaced in [false, true] {
        let disk = FakeDisk::default();
        let mut steps = Steps::on(&disk);
        steps.up(1);
        steps.settle();
        steps.pass(2 * SECOND);
        match replaced {
            true => disk.put(PATH, b"something else"),
            false => disk.delete(PATH),
        }
        steps.up(2);
        steps.settle();
        steps.pass(5 * SECOND);
        assert_eq!(found(&disk.after_kill()), [1, 2], "replaced: {replaced}");
        steps.up(3);
        steps.settle();
        assert_eq!(found(&disk.after_kill()), [1, 2, 3]);
    }
}
