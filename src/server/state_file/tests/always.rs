//! What must hold at any moment, whatever the disk does.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use proptest::prelude::*;

use super::*;

/// What happens in a run of the property below.
#[derive(Clone, Debug)]
enum Op {
    Up(u16),
    Down(u16),
    /// A step of the writer.
    Write,
    Sync,
    Pass(u64),
    Full(bool),
    Error(bool),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..40_u16).prop_map(Op::Up),
        4 => (0..40_u16).prop_map(Op::Down),
        8 => Just(Op::Write),
        4 => Just(Op::Sync),
        2 => (0..8_000_u64).prop_map(Op::Pass),
        1 => any::<bool>().prop_map(Op::Full),
        1 => any::<bool>().prop_map(Op::Error),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever the disk does, what was acknowledged as saved is there after kill -9; and after a loss of
    /// power, what was synced is, and nothing that never was.
    #[test]
    fn row_60_kill_and_power_loss_at_any_moment_leave_what_they_must(
        ops in prop::collection::vec(op(), 1..200),
        seed in any::<u64>(),
    ) {
        let disk = FakeDisk::default();
        let mut steps = Steps::on(&disk);
        let mut states: Vec<BTreeMap<u16, ()>> = vec![BTreeMap::new()];
        let mut random = seed;
        let mut chance = move |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as usize % below
        };
        // Many small rewrites instead of few large ones.
        steps.file.writer.state = crate::server::state_file::writer::FileState::Damaged;
        for op in ops {
            let mut state = states.last().unwrap().clone();
            match op {
                Op::Up(number) => {
                    state.insert(number, ());
                    steps.up(number);
                    states.push(state);
                }
                Op::Down(number) => {
                    state.remove(&number);
                    steps.submit(&[Record::Down(uuid(number))]);
                    states.push(state);
                }
                Op::Write => drop(steps.write()),
                Op::Sync => drop(steps.sync()),
                Op::Pass(ms) => steps.now += Duration::from_millis(ms),
                Op::Full(full) => disk.set(|faults| faults.room = full.then_some(50)),
                Op::Error(error) => disk.set(|faults| {
                    faults.write = error.then_some(ErrorKind::Other);
                }),
            }
            let Batch(saved) = steps.journal.saved();
            let after = found(&disk.after_kill());
            let sorted: BTreeMap<u16, ()> = after.iter().map(|&number| (number, ())).collect();
            // A write may be whole before it is acknowledged.
            let possible = &states[saved as usize..];
            prop_assert!(possible.contains(&sorted), "{sorted:?} is none of {possible:?}");
            let after = found(&disk.after_power_loss(&mut chance));
            prop_assert!(after.iter().all(|&number| number < 40));
        }
        disk.set(|faults| *faults = crate::server::state_file::fake_disk::Faults::default());
        for _ in 0..20 {
            steps.pass(SECOND);
        }
        let last = Batch(steps.last);
        prop_assert_eq!(steps.journal.saved(), last);
        let after = found(&disk.after_power_loss(&mut chance));
        let sorted: BTreeMap<u16, ()> = after.iter().map(|&number| (number, ())).collect();
        prop_assert_eq!(&sorted, states.last().unwrap());
    }
}
