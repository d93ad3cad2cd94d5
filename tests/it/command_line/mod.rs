//! The verbs of the command line.

mod output;
mod run;
mod verbs;
