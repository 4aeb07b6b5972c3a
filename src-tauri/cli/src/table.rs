//! Aligned columns, for people.

use crate::print::cell;

/// `rows` under `head`, the columns two spaces apart. What stands in a cell cannot leave it.
pub fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned))
        .chain(rows.iter().map(|row| row.each_ref().map(|text| cell(text).into_owned())))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (value, width) in row.iter().zip(widths) {
            line.push_str(value);
            line.extend(std::iter::repeat_n(' ', width - value.chars().count() + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_aligned_and_lines_end_with_their_last_word() {
        let rows = [["a".to_owned(), "fresh".to_owned()], ["long\nname".to_owned(), String::new()]];
        assert_eq!(table(["LABEL", "STATE"], &rows), "LABEL      STATE\na          fresh\nlong\u{FFFD}name\n");
    }
}
