//! Options that verbs share, as groups to flatten into a verb's own.
//!
//! The groups have no doc comments: clap would take them for the help of the verb.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use discovery_service::client::{Client, Error, Labels, Options};
use discovery_service::message::Refusal;

use super::Failure;
use crate::values::{self, Servers};

// Where the service is.
#[derive(Args)]
pub(super) struct ServerOptions {
    /// Address of the service, host:port; several with commas are tried in turn
    #[arg(
        long,
        value_name = "ADDR",
        env = "DISCOVERY_SERVER",
        default_value = "127.0.0.1:65432",
        value_parser = values::Parser(values::servers)
    )]
    server: Servers,

    /// Show the first token in this file
    #[arg(
        long,
        value_name = "PATH",
        env = "DISCOVERY_TOKEN_FILE",
        value_hint = ValueHint::FilePath
    )]
    token_file: Option<PathBuf>,
}

impl ServerOptions {
    /// Options of the client library.
    pub(super) fn with_timeout(&self, timeout: Duration) -> Result<Options, Error> {
        let options = Options::new(self.server.as_str()).timeout(timeout);
        match &self.token_file {
            Some(path) => options.token_file(path),
            None => Ok(options),
        }
    }
}

// Tags and metadata.
#[derive(Args)]
pub(super) struct LabelOptions {
    /// A tag; several times for several
    #[arg(long = "tag", value_name = "TAG", value_parser = values::Parser(values::word))]
    tags: Vec<String>,

    /// A key of metadata and its value; several times for several
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::Parser(values::pair))]
    meta: Vec<(String, String)>,
}

impl LabelOptions {
    pub(super) fn labels(&self) -> Result<Labels, Failure> {
        let mut labels = Labels::default();
        let wrong = |refusal: Refusal| Failure::Message(refusal.to_string());
        for tag in &self.tags {
            labels.add_tag(tag).map_err(wrong)?;
        }
        for (key, value) in &self.meta {
            labels.add_pair(key, value).map_err(wrong)?;
        }
        Ok(labels)
    }
}

// Where the service is, and how long it may take.
#[derive(Args)]
pub(super) struct ClientOptions {
    /// How long the service may take to answer
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "5",
        value_parser = values::Parser(values::seconds)
    )]
    timeout: Duration,

    #[command(flatten)]
    server: ServerOptions,
}

impl ClientOptions {
    /// Options of the client library.
    pub(super) fn options(&self) -> Result<Options, Error> {
        self.server.with_timeout(self.timeout)
    }
}

// What every verb has that asks and prints.
#[derive(Args)]
pub(super) struct Common {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    client: ClientOptions,
}

impl Common {
    /// Options of the client library.
    pub(super) fn options(&self) -> Result<Options, Error> {
        self.client.options()
    }

    /// A client that has not connected yet.
    pub(super) fn client(&self) -> Result<Client, Error> {
        Ok(Client::new(&self.options()?))
    }
}
