//! The table of faults in `tests/README.md` against the tests that keep it.

use std::collections::BTreeSet;

use super::sources::{File, Source, files};

/// A row of the table, and a test that keeps it with its file.
type Kept = (u8, String, String);

#[test]
fn every_row_of_the_fault_table_is_kept_by_the_tests_that_it_names() {
    let document = files(&["tests/README.md"]).pop().expect("the document");
    let listed = listed(&document);
    let there: BTreeSet<Kept> = files(&["src", "tests"])
        .into_iter()
        .filter(|file| file.path.ends_with(".rs"))
        .flat_map(|file| row_tests(&Source::new(file)))
        .collect();
    let mut wrong = String::new();
    for (row, file, test) in there.difference(&listed) {
        wrong += &format!("{file}: `{test}` is not in row {row} of the table\n");
    }
    for (row, file, test) in listed.difference(&there) {
        wrong += &format!("row {row} of the table names `{test}`, which is not in {file}\n");
    }
    let rows: BTreeSet<u8> = listed.iter().map(|(row, ..)| *row).collect();
    for row in (1..).take_while(|row| rows.last().is_some_and(|last| row < last)) {
        if !rows.contains(&row) {
            wrong += &format!("row {row} of the table is missing, or no test keeps it\n");
        }
    }
    assert!(
        wrong.is_empty(),
        "\n{wrong}Keep the table in {} as the tests are.\n",
        document.path
    );
}

/// What the table says: `| 7 | fault | what must happen | `file`: `test`, `test`<br>`file`: … |`.
fn listed(document: &File) -> BTreeSet<Kept> {
    let mut listed = BTreeSet::new();
    for line in document.text.lines() {
        let cells: Vec<&str> = line.split(" | ").collect();
        let Some(Ok(row)) = cells[0].strip_prefix("| ").map(str::parse) else {
            continue;
        };
        assert_eq!(cells.len(), 4, "row {row} of the table has four cells");
        let mut file = String::new();
        for name in cells[3].split('`').skip(1).step_by(2) {
            if !name.ends_with(".rs") {
                listed.insert((row, file.clone(), name.to_owned()));
            } else if name.starts_with("src/") {
                file = name.to_owned();
            } else {
                file = format!("tests/{name}");
            }
        }
    }
    listed
}

/// The tests of a file that keep a row, such as `row_07_and_44_…`.
fn row_tests(source: &Source) -> Vec<Kept> {
    let mut tests = Vec::new();
    for pair in source.tokens.windows(2).filter(|pair| pair[0].text == "fn") {
        let name = &pair[1].text;
        let Some(numbers) = name.strip_prefix("row_") else {
            continue;
        };
        let numbers = numbers
            .split('_')
            .take_while(|word| *word == "and" || word.parse::<u8>().is_ok())
            .filter_map(|word| word.parse().ok());
        tests.extend(numbers.map(|row| (row, source.path.clone(), name.clone())));
    }
    tests
}

#[test]
fn rows_and_names_of_tests_are_read() {
    let file = |path: &str, text: &str| File {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let source = Source::new(file(
        "tests/a/b.rs",
        "fn row_07_and_44_x() {} fn other() {}",
    ));
    let kept = |row| (row, "tests/a/b.rs".to_owned(), "row_07_and_44_x".to_owned());
    assert_eq!(row_tests(&source), [kept(7), kept(44)]);
    let table = file(
        "",
        "| # | fault |\n|---|---|\n| 7 | f | m | `a/b.rs`: `row_07_and_44_x` |\n",
    );
    assert_eq!(listed(&table), [kept(7)].into());
}
