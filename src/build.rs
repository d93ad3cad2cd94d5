//! Links the binary so that its processes take less memory, where the linker can: with the static
//! unwinder of the C compiler, so that no shared library but the C library is needed, and with what runs
//! seldom set apart from what runs all the time, for memory is mapped in pieces of 64 KiB and more.
//!
//! For the binary only: who uses the library links as they please.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What `libgcc_s.so`, for which the standard library asks, stands for when it is found first: in the
/// words of the GNU linker, which others speak too.
const STATIC_UNWINDER: &str = "GROUP ( -lgcc_eh -lgcc )\n";

/// Behind what the service runs comes the code of command lines and of backtraces, and then, beside what every
/// process runs when it begins, what clients run.
const ORDER: &str = "
SECTIONS
{
  .text.rare : { *(.text.*gimli* .text.*addr2line* .text.*rustc_demangle* .text.*miniz_oxide* .text.*backtrace_rs*
    .text.*clap* .text.*strsim* .text.*env_filter* .text.*serde* .text.*discovery3cli4args* .text.*discovery3cli3ask*
    .text.*discovery3cli6follow* .text.*discovery3cli5print* .text.*discovery3cli6screen* .text.*discovery3cli4Verb*) }
  .text.client : { *(.text.main .text.*discovery4main* .text.*discovery3cli* .text.*17discovery_service6client*
    .text.*signal_hook* .text.*memchr* .text._ZN3mio*) }
}
INSERT AFTER .text;
";

fn main() {
    println!("cargo:rerun-if-changed=src/build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|set| set == value);
    if !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ENV", "gnu") {
        return;
    }
    let folder = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    fs::create_dir_all(folder.join("unwinder")).expect("the folder is there to be written to");
    let write = |name: &str, text| {
        fs::write(folder.join(name), text).expect("the folder is there to be written to")
    };
    write("unwinder/libgcc_s.so", STATIC_UNWINDER);
    write("order.ld", ORDER);
    write("probe.rs", "fn main() {}\n");
    for argument in [
        format!("-L{}/unwinder", folder.display()),
        format!("-Wl,-T,{}/order.ld", folder.display()),
    ] {
        if links(&folder, &argument) {
            println!("cargo:rustc-link-arg-bins={argument}");
        }
    }
}

/// Whether a program can be linked with this argument, by the linker that cargo has chosen.
fn links(folder: &Path, argument: &str) -> bool {
    let var = |name: &str| env::var(name).unwrap_or_default();
    let mut rustc = Command::new(var("RUSTC"));
    rustc.args(
        var("CARGO_ENCODED_RUSTFLAGS")
            .split('\x1f')
            .filter(|flag| !flag.is_empty()),
    );
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    rustc.args([
        "--target",
        &var("TARGET"),
        &format!("-Clink-arg={argument}"),
        "-o",
    ]);
    rustc
        .args([folder.join("probe"), folder.join("probe.rs")])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    rustc.status().is_ok_and(|status| status.success())
}
