//! The transcripts of the README, typed into a shell; what it prints is what the README shows.

mod shell;
mod transcript;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use crate::common::{PATIENCE, Service, free_port, tool};
use shell::Shell;
use transcript::{Block, Step, blocks, masked, ports, replaced, uuids};

/// The port of the registry in all transcripts.
const REGISTRY_PORT: &str = "65432";

#[test]
fn every_transcript_of_the_readme_is_what_a_reader_sees() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).expect("the README");
    let blocks = blocks(&readme);
    for block in &blocks {
        if let Some(reason) = &block.not_run {
            println!("README.md:{}: not run: {reason}", block.line);
        }
    }
    assert!(blocks.iter().any(|block| block.not_run.is_none()));
    let wrong = run(&blocks, PATIENCE);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Runs the blocks of each section in a shell of its own. Returns what was not as it is shown.
fn run(blocks: &[Block], patience: Duration) -> Vec<String> {
    let mut wrong = Vec::new();
    for section in blocks.chunk_by(|a, b| a.section == b.section) {
        let steps: Vec<&Step> = section
            .iter()
            .filter(|block| block.not_run.is_none())
            .filter(|block| block.needs.as_deref().is_none_or(is_installed))
            .flat_map(|block| &block.steps)
            .collect();
        if !steps.is_empty() {
            wrong.extend(run_section(&steps, patience));
        }
    }
    wrong
}

/// Whether a program is installed; if not, it says so.
fn is_installed(program: &str) -> bool {
    tool(program).is_some()
}

/// Runs steps one after the other, up to the first that is not as it is shown.
fn run_section(steps: &[&Step], patience: Duration) -> Option<String> {
    // The README's ports, and the UUIDs in its answers, stand for others here.
    let mut stands_for: HashMap<String, String> = steps
        .iter()
        .flat_map(|step| ports(&step.command))
        .map(|port| (port, free_port().to_string()))
        .collect();
    let starts_registry =
        |step: &&Step| step.command == "discovery &" || step.command.starts_with("discovery --");
    let service = (!steps.iter().any(starts_registry)).then(|| Service::start(&[]));
    let registry = match &service {
        Some(service) => service.address().port(),
        None => free_port(),
    };
    stands_for.insert(REGISTRY_PORT.to_owned(), registry.to_string());

    let mut shell = Shell::start(&format!("127.0.0.1:{registry}"));
    for step in steps {
        let command = replaced(&step.command, &stands_for);
        let masked = |text: &str| in_order(step, masked(text));
        let expected = masked(&replaced(&step.output, &stands_for));
        let seen = shell.run(step, &command, patience, |said| masked(said) == expected);
        if masked(&seen) != expected {
            return Some(format!(
                "README.md:{}: $ {}\nshown, with what varies masked:\n{expected}\nseen:\n{}",
                step.line,
                step.command,
                masked(&seen)
            ));
        }
        stands_for.extend(uuids(&step.output).zip(uuids(&seen)));
    }
    None
}

/// Services are listed by when they registered, and what two commands started does so in any order.
fn in_order(step: &Step, output: String) -> String {
    if !step.asks() {
        return output;
    }
    let mut lines: Vec<&str> = output.split_inclusive('\n').collect();
    lines.sort_unstable();
    lines.concat()
}

#[test]
fn a_transcript_that_is_not_what_a_reader_sees_is_found() {
    let text = "## One\n\
        ```console\n\
        $ discovery register hive 10.0.0.1 80\n\
        3999da30-2a11-463a-be8e-6b2beca7bfe6\n\
        $ discovery heartbeat 3999da30-2a11-463a-be8e-6b2beca7bfe6\n\
        OK\n\
        ```\n\
        ## Two\n\
        ```console\n\
        $ printf 'query hive\\n' | nc -N 127.0.0.1 65432\n\
        [{\"ip\":\"10.0.0.1\",\"port\":80}]\n\
        ```\n";
    let wrong = run(&blocks(text), Duration::from_secs(3));
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(
        wrong[0].starts_with("README.md:10: $ printf"),
        "{}",
        wrong[0]
    );
    assert!(wrong[0].ends_with("seen:\n[]\n"), "{}", wrong[0]);
}
