//! The verbs of the command line.

mod run;
mod verbs;
