//! The interpreter that a program names: a script in its first line, a binary in its headers. When it
//! does not exist, the system says that the program does not.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use discovery_service::escape::printable;

/// Bytes of a program that are read: headers and the names in them stand at its beginning.
const READ_MAX: u64 = 4096;

/// The interpreter that a program names, as it may be printed; `None` if there is no such program, or
/// it names none.
pub(super) fn of(program: &OsStr) -> Option<String> {
    let mut beginning = Vec::new();
    let file = File::open(find(program)?).ok()?;
    file.take(READ_MAX).read_to_end(&mut beginning).ok()?;
    let name = of_script(&beginning).or_else(|| of_binary(&beginning))?;
    Some(printable(&String::from_utf8_lossy(name)))
}

/// Where a program is, by the rules of `exec`.
fn find(program: &OsStr) -> Option<PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        return Some(Path::new(program).to_owned());
    }
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(program));
    places.find(|place| place.is_file())
}

/// `#!/bin/sh -e` names `/bin/sh` (execve(2)). A CR belongs to the name.
fn of_script(beginning: &[u8]) -> Option<&[u8]> {
    let line = beginning
        .strip_prefix(b"#!")?
        .split(|byte| *byte == b'\n')
        .next()?;
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    line.split(is_blank).find(|word| !word.is_empty())
}

/// The name in the program header PT_INTERP of a 64-bit little-endian ELF file (elf(5)).
fn of_binary(beginning: &[u8]) -> Option<&[u8]> {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, len: usize| -> Option<u64> {
        let bytes = beginning.get(at..at + len)?.iter().rev();
        Some(bytes.fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    beginning.strip_prefix(b"\x7fELF\x02\x01")?;
    let (headers, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let header = (0..count).find_map(|i| {
        let header = usize::try_from(headers.checked_add(i * size)?).ok()?;
        (header < beginning.len() && number(header, 4)? == PT_INTERP).then_some(header)
    })?;
    let name = beginning.get(usize::try_from(number(header + 8, 8)?).ok()?..)?;
    name.split(|byte| *byte == 0)
        .next()
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_binaries_name_their_interpreters() {
        assert_eq!(of_script(b"#! /bin/sh -e\n"), Some(&b"/bin/sh"[..]));
        assert_eq!(of_script(b"#!/bin/sh\r\n"), Some(&b"/bin/sh\r"[..]));
        assert_eq!(of_script(b"echo\n"), None);
        let mut elf = [0; 160];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (elf[32], elf[54], elf[56]) = (64, 56, 1);
        (elf[64], elf[72]) = (3, 130);
        elf[130..138].copy_from_slice(b"/lib/ld\0");
        assert_eq!(of_binary(&elf), Some(&b"/lib/ld"[..]));
        for len in 0..elf.len() {
            let cut = of_binary(&elf[..len]);
            assert!(cut.is_none() || len > 130, "{len}: {cut:?}");
        }
        elf[32..40].copy_from_slice(&[0xff; 8]);
        assert_eq!(of_binary(&elf), None);
    }
}
