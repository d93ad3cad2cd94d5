//! What damage to a state file costs, and what it does not.

use std::borrow::Cow;

use discovery_service::message::{Labels, ServiceType};
use discovery_service::state::{Beginning, Counts, HEADER_LEN, Header, Record, Up};

use crate::state_file::{Picture, compact, is_read_the_same, replay, up, uuid};

/// A file of so many registrations, and where each record begins.
fn numbered(count: u8) -> (Vec<u8>, Vec<usize>) {
    let mut file = Header::default().encode().to_vec();
    let mut begins = Vec::new();
    for number in 0..count {
        begins.push(file.len());
        Record::Up(up(number, number)).encode(&mut file);
    }
    begins.push(file.len());
    (file, begins)
}

fn numbers(picture: &Picture) -> Vec<u8> {
    let number = |up: &Up<'_>| up.uuid.as_u128() as u8;
    picture.iter().map(number).collect()
}

#[test]
fn row_60_of_a_tail_that_is_torn_at_any_byte_all_records_before_it_are_read() {
    let (file, begins) = numbered(3);
    for len in begins[2]..begins[3] {
        let (picture, found) = replay(&file[..len], 50);
        assert_eq!(numbers(&picture), [0, 1], "{len}");
        let torn = (len - begins[2]) as u64;
        assert_eq!((found.torn_len, found.damaged_len), (torn, 0), "{len}");
        // What is appended behind it is found also where it was not cut.
        let mut longer = file[..len].to_vec();
        Record::Up(up(9, 9)).encode(&mut longer);
        assert_eq!(numbers(&replay(&longer, 50).0), [0, 1, 9], "{len}");
    }
}

#[test]
fn row_60_one_flipped_bit_costs_one_record_wherever_it_is() {
    let (file, begins) = numbered(6);
    for bit in 0..8 * file.len() {
        let mut wrong = file.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        let hit = begins.iter().rposition(|&begin| begin <= bit / 8);
        let left: Vec<u8> = (0..6).filter(|&n| hit != Some(n.into())).collect();
        let (picture, found) = replay(&wrong, 4096);
        assert_eq!(numbers(&picture), left, "bit {bit}");
        let is_noticed = found.is_damaged() || found.torn_len > 0;
        assert!(is_noticed && !found.is_foreign(), "bit {bit}: {found:?}");
        assert_eq!(replay(&compact(&wrong).0, 4096).0, picture, "bit {bit}");
    }
}

#[test]
fn row_60_a_zeroed_page_and_garbage_in_front_cost_only_the_records_that_they_hit() {
    let (file, _) = numbered(255);
    for page in 0..file.len() / 4096 {
        let mut wrong = file.clone();
        wrong[page * 4096..(page + 1) * 4096].fill(0);
        let (picture, found) = replay(&wrong, 65_536);
        assert!(picture.len() > 150, "{} are left", picture.len());
        assert!(found.is_damaged());
        is_read_the_same(&wrong);
    }
    let mut state = 1_u64;
    let mut noise = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    let mut garbage: Vec<u8> = (0..1024 * 1024).map(|_| noise()).collect();
    garbage.extend(&file);
    let (picture, found) = replay(&garbage, 65_536);
    assert_eq!(picture.len(), 255);
    assert_eq!(found.damaged_len, (1024 * 1024 + HEADER_LEN) as u64);
    assert_eq!(found.beginning, Beginning::Unknown);
    assert!(!found.is_foreign());
}

#[test]
fn row_60_unknown_kinds_and_longer_payloads_of_a_later_program_are_skipped() {
    let (mut file, _) = numbered(2);
    let begin = file.len();
    // A removal with three bytes more, and a kind that nobody knows.
    for (kind, payload) in [
        (2, [&uuid(0).as_bytes()[..], b"new"].concat()),
        (31, b"whatever".to_vec()),
    ] {
        let mut rest = (payload.len() as u16).to_le_bytes().to_vec();
        rest.push(kind);
        rest.extend(payload);
        file.extend(crc32fast::hash(&rest).to_le_bytes());
        file.extend(rest);
    }
    let (picture, found) = replay(&file, 64);
    assert_eq!(numbers(&picture), [1]);
    assert_eq!((found.foreign, found.damaged_len), (1, 0));
    assert_eq!(Counts::of(&file[begin..]).records, 2);
    is_read_the_same(&file);
}

#[test]
fn row_60_a_file_of_another_program_and_one_of_a_later_version_are_told_apart() {
    let other = "{\"services\": []}\n".repeat(100);
    let (picture, found) = replay(other.as_bytes(), 64);
    assert!(picture.is_empty() && found.is_foreign());
    let mut newer = Header::default().encode();
    newer[8] = 9;
    let sum = crc32fast::hash(&newer[..28]).to_le_bytes();
    newer[28..].copy_from_slice(&sum);
    let file = [&newer[..], &numbered(9).0].concat();
    let (picture, found) = replay(&file, 64);
    assert_eq!((picture.len(), found.beginning), (0, Beginning::Newer(9)));
    for blank in [&[][..], &[0; 4096], &Header::default().encode()[..9]] {
        assert!(!replay(blank, 64).1.is_foreign(), "{blank:?}");
    }
}

#[test]
fn records_have_the_length_that_the_documents_say() {
    let len = |record: Record<'_>| {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        bytes.len()
    };
    assert_eq!(len(Record::Down(uuid(1))), 23);
    let plain = Up {
        service_type: "hive".into(),
        labels: None,
        ..up(1, 1)
    };
    assert_eq!(len(Record::Up(plain)), 39);
    let name = "n".repeat(63);
    assert!(ServiceType::new(name.as_str()).is_ok());
    let mut labels = Labels::default();
    for number in 0..60 {
        labels.add_tag(&format!("{number:068}")).unwrap();
    }
    let longest = Up {
        right: uuid(2),
        service_type: name.into(),
        labels: Some(Cow::Owned(labels)),
        ..up(1, 5)
    };
    let mut file = Header::default().encode().to_vec();
    Record::Up(longest.clone()).encode(&mut file);
    assert_eq!(replay(&file, 64).0, [longest]);
}
