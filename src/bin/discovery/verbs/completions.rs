//! `completions`: a script that completes the command line in a shell.

use clap::Args;
use clap_complete::Shell;

use super::Failure;
use crate::{command_line, output};

/// What the script for bash lacks: behind `run … --` stands a command with its arguments.
const BASH_COMMANDS: &str = r#"
_discovery_or_command() {
    local i
    for ((i = 2; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[1]} == run && ${COMP_WORDS[i]} == -- ]]; then
            local what=-f
            ((i == COMP_CWORD - 1)) && what=-c
            COMPREPLY=($(compgen "$what" -- "${COMP_WORDS[COMP_CWORD]}"))
            return
        fi
    done
    _discovery "$@"
}
complete -F _discovery_or_command -o bashdefault -o default discovery
"#;

/// Print a script that completes this command line in a shell
#[derive(Args)]
#[command(after_help = "Example:\n  discovery completions bash > /etc/bash_completion.d/discovery")]
pub(crate) struct Completions {
    /// Which shell
    #[arg(value_name = "shell", value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut command = command_line::without_environment();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "discovery", &mut script);
        if self.shell == Shell::Bash {
            script.extend_from_slice(BASH_COMMANDS.as_bytes());
        }
        output::bytes(&script)
    }
}
