//! One page that holds everything: tables, and pictures drawn into it. It fetches nothing and runs nothing.

use super::remark::Remark;
use super::svg::escape;
use super::table::{self, Table};
use super::{Outcome, Report, Section, plot};
use crate::figure::{Bound, Figure};

const STYLE: &str = include_str!("html/style.css");

/// The page.
pub(super) fn render(report: &Report) -> String {
    let machine = &report.machine;
    let facts = [
        ("date", machine.date.clone()),
        ("machine", format!("{} cores of {}", machine.cores, machine.cpu)),
        ("kernel", format!("Linux {}", machine.kernel)),
        ("load average before", machine.load.clone()),
    ];
    let facts: String = facts
        .iter()
        .map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>", escape(value)))
        .collect();
    let versions: String = report
        .versions()
        .iter()
        .map(|(name, version)| format!("<dt>{}</dt><dd>{}</dd>", escape(name), escape(version)))
        .collect();
    let notes: String = report
        .notes
        .iter()
        .map(|note| format!("<p class=note>{}</p>\n", code(note)))
        .collect();
    let shares = plot::shares(report).map_or_else(String::new, |shares| format!("<div class=card>{shares}</div>"));
    let sections: String = report.sections.iter().map(section).collect();
    format!(
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
         <meta name=viewport content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<header><h1>{title}</h1>\n{verdicts}\n</header>\n\
         <dl class=facts>{facts}{versions}</dl>\n<pre>{command}</pre>\n{shares}\n{summary}\n{notes}\n{sections}\
         </main>\n</body>\n</html>\n",
        title = escape(&report.title),
        verdicts = verdicts(report),
        command = escape(&report.settings.command),
        summary = html(&table::of(report)),
    )
}

/// How many targets were met.
fn verdicts(report: &Report) -> String {
    let verdicts: Vec<_> = report.sections.iter().flat_map(Section::verdicts).collect();
    let count = |outcome| verdicts.iter().filter(|verdict| verdict.outcome == outcome).count();
    let (met, missed) = (count(Outcome::Met), count(Outcome::Missed));
    if met + missed == 0 {
        return String::new();
    }
    let missed = if missed == 0 {
        String::new()
    } else {
        format!(" <b class=missed>{missed} missed</b>")
    };
    format!("<p class=verdicts><b class=met>{met} targets met</b>{missed}</p>")
}

fn section(section: &Section) -> String {
    let mut text = format!(
        "<section>\n<h2 id=\"{id}\">{id}</h2>\n<p>{}</p>\n",
        escape(&section.about),
        id = escape(&section.name)
    );
    for verdict in section
        .verdicts()
        .iter()
        .filter(|verdict| verdict.goal.bound != Bound::Told)
    {
        let class = match verdict.outcome {
            Outcome::Met => "met",
            Outcome::Doubtful => "note",
            Outcome::Missed | Outcome::Unknown | Outcome::Told => "missed",
        };
        text.push_str(&format!("<p class={class}>{}</p>\n", escape(&verdict.line())));
    }
    let figures = figures(section);
    let bars = figures.iter().filter_map(|figure| plot::bars(section, *figure));
    let pictures: String = bars.chain(plot::latencies(section)).collect();
    if !pictures.is_empty() {
        text.push_str(&format!("<div class=\"card plots\">{pictures}</div>\n"));
    }
    text.push_str(&plot::timeline(section).map_or_else(String::new, |plot| format!("<div class=card>{plot}</div>\n")));
    text.push_str(&html(&table::section(section)));
    for remark in section.remarks() {
        let class = match remark {
            Remark::Failure(_) => "missed",
            Remark::Doubt(_) => "note",
        };
        text.push_str(&format!("<p class={class}>{}</p>\n", escape(&remark.to_string())));
    }
    text.push_str("</section>\n");
    text
}

/// What is drawn as bars: what the scenario is about.
fn figures(section: &Section) -> Vec<Figure> {
    let goals = section.goals.iter().map(|goal| goal.figure);
    let drawn = |figure: &Figure| !matches!(figure, Figure::P50Us | Figure::LongestUs);
    let mut figures: Vec<_> = goals.filter(drawn).collect();
    if figures == [Figure::P99Us] {
        figures.push(Figure::CpuUs);
    }
    if figures.contains(&Figure::Gain) {
        // What they are made of: both numbers of workers side by side.
        figures = vec![Figure::PerSecond, Figure::CpuUs];
    }
    figures
}

fn html(table: &Table) -> String {
    let line = |cells: &[String], tag: &str| {
        let cells: String = cells
            .iter()
            .map(|cell| format!("<{tag}>{}</{tag}>", escape(cell)))
            .collect();
        format!("<tr>{cells}</tr>\n")
    };
    let Some((headings, lines)) = table.split_first() else {
        return String::new();
    };
    let lines: String = lines.iter().map(|cells| line(cells, "td")).collect();
    let headings = line(headings, "th");
    format!("<div class=scroll><table>\n<thead>{headings}</thead>\n<tbody>{lines}</tbody></table></div>\n")
}

/// Words between backticks as code.
fn code(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(number, part)| {
        let part = escape(part);
        if number % 2 == 1 {
            format!("<code>{part}</code>")
        } else {
            part
        }
    });
    parts.collect()
}
