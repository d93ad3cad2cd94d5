//! What the environment chooses of a bench.

/// The whole number in the variable with this name, or the default.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| {
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

/// Whether the part or row with this name is to be run: the variable `only` has a part of its name, or
/// nothing.
pub(crate) fn wanted(only: &str, name: &str) -> bool {
    name.contains(&std::env::var(only).unwrap_or_default())
}
