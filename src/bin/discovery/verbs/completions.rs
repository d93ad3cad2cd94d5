//! `completions`: a script that completes the command line in a shell.

use clap::Args;
use clap_complete::Shell;

use super::Failure;
use crate::{command_line, output, values};

/// Print a script that completes this command line in a shell
#[derive(Args)]
#[command(after_help = "Example:\n  discovery completions bash > /etc/bash_completion.d/discovery")]
pub(crate) struct Completions {
    /// bash, elvish, fish, powershell or zsh
    #[arg(value_name = "shell", value_parser = values::shell)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut command = command_line::without_environment();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "discovery", &mut script);
        output::bytes(&script)
    }
}
