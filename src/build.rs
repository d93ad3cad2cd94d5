//! Links the binary with the static unwinder of the C compiler, where there is one: then it needs no
//! shared library but the C library, and a tenth of a MiB less memory in each process.
//!
//! The standard library asks for `-lgcc_s`. A linker script of that name, found first, answers with
//! the static one, for the binary only: who uses the library links as they please.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What `libgcc_s.so` stands for, in the words of the GNU linker, which others speak too.
const LINKER_SCRIPT: &str = "GROUP ( -lgcc_eh -lgcc )\n";

fn main() {
    println!("cargo:rerun-if-changed=src/build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|set| set == value);
    if !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ENV", "gnu") || !has_static_unwinder() {
        return;
    }
    let folder = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&folder).join("libgcc_s.so"), LINKER_SCRIPT).expect("the folder is there to be written to");
    println!("cargo:rustc-link-arg-bins=-L{folder}");
}

/// Whether the C compiler that links for this target has it. It prints a path where it does, and the
/// bare name where it does not.
fn has_static_unwinder() -> bool {
    let is_native = env::var("HOST").ok() == env::var("TARGET").ok();
    let linker = env::var("RUSTC_LINKER").ok().or_else(|| is_native.then(|| "cc".to_owned()));
    let Some(linker) = linker else { return false };
    let output = Command::new(linker).arg("-print-file-name=libgcc_eh.a").output();
    output.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_absolute())
}
