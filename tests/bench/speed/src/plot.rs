//! A picture of the tables: a bar for each median, with a line from the least to the most.

use std::path::Path;

use plotters::prelude::*;

use crate::{
    Error,
    table::{Row, Table, number},
};

const WIDTH: i32 = 900;
const LABELS: i32 = 190;
const BAR: i32 = 18;
const TITLE: i32 = 44;
/// Room for the number behind the longest bar.
const NUMBERS: i32 = 100;

pub fn draw(tables: &[Table], file: &Path) -> Result<(), Error> {
    let charts: Vec<_> = tables
        .iter()
        .flat_map(|table| table.metrics.iter().map(move |metric| (table, *metric)))
        .collect();
    let height: i32 = charts
        .iter()
        .map(|(table, _)| height_of(table.rows.len()))
        .sum();
    let size = (u32::try_from(WIDTH)?, u32::try_from(height)?);
    let area = SVGBackend::new(file, size).into_drawing_area();
    area.fill(&WHITE)?;
    let mut top = 0;
    for (table, metric) in charts {
        let title = format!("{} ({metric})", table.title);
        let font = ("sans-serif", 16).into_font();
        area.draw(&Text::new(title, (10, top + 18), font))?;
        let most = |most: f64, row: &Row| most.max(row.range(metric).1);
        let most = table.rows.iter().fold(0.0, most);
        let length =
            |value: f64| LABELS + (value / most * f64::from(WIDTH - LABELS - NUMBERS)) as i32;
        for (row, y) in table.rows.iter().zip((top + TITLE..).step_by(BAR as usize)) {
            let font = ("sans-serif", 12).into_font();
            let (least, most) = row.range(metric);
            let median = row.median(metric);
            let bar = [(LABELS, y + 2), (length(median), y + BAR - 2)];
            area.draw(&Text::new(row.name.clone(), (10, y + 2), font.clone()))?;
            area.draw(&Rectangle::new(bar, color(row).filled()))?;
            let spread = [(length(least), y + BAR / 2), (length(most), y + BAR / 2)];
            area.draw(&PathElement::new(spread.to_vec(), BLACK))?;
            area.draw(&Text::new(number(median), (length(most) + 6, y + 2), font))?;
        }
        top += height_of(table.rows.len());
    }
    area.present()?;
    Ok(())
}

fn height_of(rows: usize) -> i32 {
    TITLE + BAR * rows as i32 + 10
}

fn color(row: &Row) -> RGBColor {
    match row.name.split('/').next() {
        Some("wireloom") => RGBColor(0x1b, 0x7f, 0x5c),
        Some("tonic") => RGBColor(0xc4, 0x6a, 0x1f),
        _ => RGBColor(0x9a, 0xa5, 0xb1),
    }
}
