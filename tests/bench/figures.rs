//! What was measured, what it is held to, and how both are shown.

use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// So many times the samples are drawn again for a bound.
const RESAMPLES: usize = 4000;

/// What a figure is held to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// Nothing: it is told, not judged.
    Told,
    /// The median is at most this.
    AtMost(f64),
    /// The median is at most this more than the peer's.
    AtMostMore(f64),
    /// The median is the peer's times the first; where the bound reaches beyond the second, it has failed.
    Ratio(f64, f64),
}

/// Something measured.
pub struct Figure {
    /// What.
    pub name: &'static str,
    /// In what.
    pub unit: &'static str,
    /// As they were taken.
    pub samples: Vec<f64>,
    /// Who it is compared with, and its samples: each was taken beside the sample of the same place.
    pub peer: Option<(&'static str, Vec<f64>)>,
    /// What it is held to.
    pub goal: Goal,
}

/// Everything measured in one run.
pub struct Report {
    figures: Vec<Figure>,
    missing: Vec<(&'static str, String)>,
    remarks: Vec<String>,
    load_before: String,
}

/// How a figure stands to its goal.
struct Judgement {
    words: &'static str,
    pass: Option<bool>,
}

impl Figure {
    /// One that stands alone.
    pub fn alone(name: &'static str, unit: &'static str, samples: Vec<f64>, goal: Goal) -> Self {
        Self { name, unit, samples, peer: None, goal }
    }

    fn ratio(&self) -> Option<[f64; 3]> {
        let (_, peer) = self.peer.as_ref()?;
        let [low, high] = bound(&self.samples, peer);
        Some([median(&self.samples) / median(peer), low, high])
    }

    fn judge(&self) -> Judgement {
        let judge = |is: f64, worst: f64, target: f64, limit: f64| {
            let words = match (is <= target, worst <= limit) {
                (true, true) => "met",
                (false, true) => "within the limit",
                (_, false) => "MISSED",
            };
            Judgement { words, pass: Some(worst <= limit) }
        };
        let median_is = median(&self.samples);
        match (self.goal, self.ratio(), &self.peer) {
            (Goal::AtMost(most), _, _) => judge(median_is, median_is, most, most),
            (Goal::AtMostMore(most), _, Some((_, peer))) => {
                let more = median_is - median(peer);
                judge(more, more, most, most)
            }
            (Goal::Ratio(target, limit), Some([ratio, _, high]), _) => judge(ratio, high, target, limit),
            _ => Judgement { words: "", pass: None },
        }
    }

    fn goal_words(&self) -> String {
        match self.goal {
            Goal::Told => String::new(),
            Goal::AtMost(most) => format!("≤ {most}"),
            Goal::AtMostMore(most) => format!("≤ peer + {most}"),
            Goal::Ratio(target, limit) => format!("× {target}, limit {limit}"),
        }
    }

    fn json(&self) -> Value {
        let (target, limit) = match self.goal {
            Goal::Told => (None, None),
            Goal::AtMost(most) | Goal::AtMostMore(most) => (Some(most), Some(most)),
            Goal::Ratio(target, limit) => (Some(target), Some(limit)),
        };
        let ratio = self.ratio();
        json!({
            "name": self.name,
            "unit": self.unit,
            "samples": self.samples,
            "median": median(&self.samples),
            "p25": quantile(&self.samples, 0.25),
            "p75": quantile(&self.samples, 0.75),
            "peer": self.peer.as_ref().map(|(name, _)| name),
            "peer_samples": self.peer.as_ref().map(|(_, samples)| samples),
            "peer_median": self.peer.as_ref().map(|(_, samples)| median(samples)),
            "peer_p25": self.peer.as_ref().map(|(_, samples)| quantile(samples, 0.25)),
            "peer_p75": self.peer.as_ref().map(|(_, samples)| quantile(samples, 0.75)),
            "ratio": ratio.map(|[ratio, _, _]| ratio),
            "ratio_bound": ratio.map(|[_, low, high]| [low, high]),
            "judged": match self.goal {
                Goal::Told => None,
                Goal::AtMost(_) => Some("median"),
                Goal::AtMostMore(_) => Some("difference of medians"),
                Goal::Ratio(..) => Some("ratio of medians; its upper bound against the limit"),
            },
            "target": target,
            "limit": limit,
            "pass": self.judge().pass,
        })
    }

    fn row(&self) -> Vec<String> {
        let spread = |samples: &[f64]| {
            let quantiles = [0.5, 0.25, 0.75].map(|part| number(quantile(samples, part)));
            if samples.len() < 2 {
                return quantiles[0].clone();
            }
            format!("{} [{}–{}]", quantiles[0], quantiles[1], quantiles[2])
        };
        vec![
            self.name.to_owned(),
            self.unit.to_owned(),
            self.samples.len().to_string(),
            spread(&self.samples),
            self.peer.as_ref().map(|(name, samples)| format!("{name}: {}", spread(samples))).unwrap_or_default(),
            self.ratio().map(|[ratio, low, high]| format!("{ratio:.2} [{low:.2}–{high:.2}]")).unwrap_or_default(),
            self.goal_words(),
            self.judge().words.to_owned(),
        ]
    }
}

impl Report {
    /// Nothing measured yet.
    pub fn new() -> Self {
        Self { figures: Vec::new(), missing: Vec::new(), remarks: Vec::new(), load_before: load() }
    }

    /// This was measured.
    pub fn add(&mut self, figure: Figure) {
        println!("{}", figure.row().join("  "));
        self.figures.push(figure);
    }

    /// This could not be measured, and why.
    pub fn not_measured(&mut self, name: &'static str, why: impl Into<String>) {
        self.missing.push((name, why.into()));
    }

    /// Something that a figure alone does not say.
    pub fn remark(&mut self, text: impl Into<String>) {
        self.remarks.push(text.into());
    }

    /// Shows the table and writes target/bench.json. Not measured is not passed.
    pub fn finish(self) -> ExitCode {
        let machine = json!({
            "processor": line_of("/proc/cpuinfo", "model name"),
            "processors": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
            "memory": line_of("/proc/meminfo", "MemTotal"),
            "load_before": self.load_before,
            "load_after": load(),
        });
        let headings = ["", "unit", "n", "median [p25–p75]", "peer", "ratio [95 %]", "goal", ""];
        let mut rows = vec![headings.map(str::to_owned).to_vec()];
        rows.extend(self.figures.iter().map(Figure::row));
        println!("\n{}", table(&rows));
        self.missing.iter().for_each(|(name, why)| println!("not measured: {name}: {why}"));
        self.remarks.iter().for_each(|remark| println!("{remark}"));
        println!("load {} before, {} after", self.load_before, load());
        let figures: Vec<Value> = self.figures.iter().map(Figure::json).collect();
        let missing: Vec<Value> = self.missing.iter().map(|(name, why)| json!({ "name": name, "why": why })).collect();
        let all = json!({ "machine": machine, "figures": figures, "not_measured": missing, "remarks": self.remarks });
        let path = target().join("bench.json");
        std::fs::write(&path, format!("{all:#}\n")).expect("target/bench.json");
        println!("every sample: {}", path.display());
        let passed = self.missing.is_empty() && self.figures.iter().all(|figure| figure.judge().pass != Some(false));
        if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Where figures are written.
pub fn target() -> PathBuf {
    let own = std::env::current_exe().expect("the bench's own path");
    own.ancestors().nth(3).expect("target/PROFILE/deps/BENCH").to_owned()
}

/// The middle one.
pub fn median(samples: &[f64]) -> f64 {
    quantile(samples, 0.5)
}

/// Between the two nearest samples, in proportion.
pub fn quantile(samples: &[f64], part: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = part * (sorted.len() - 1) as f64;
    let below = sorted[at.floor() as usize];
    below + (sorted[at.ceil() as usize] - below) * at.fract()
}

/// Within these, the ratio of medians lies in 95 of 100 resamples. Samples that were taken side by side stay together,
/// so that what slowed both of them down says nothing.
fn bound(samples: &[f64], peer: &[f64]) -> [f64; 2] {
    let places = samples.len().min(peer.len());
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let ratios: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let drawn: Vec<usize> = (0..places).map(|_| below(&mut random, places)).collect();
            let of = |all: &[f64]| median(&drawn.iter().map(|place| all[*place]).collect::<Vec<_>>());
            of(samples) / of(peer)
        })
        .collect();
    [quantile(&ratios, 0.025), quantile(&ratios, 0.975)]
}

/// xorshift64*, from one seed: the same samples have the same bound.
fn below(random: &mut u64, end: usize) -> usize {
    *random ^= *random >> 12;
    *random ^= *random << 25;
    *random ^= *random >> 27;
    let drawn = random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
    usize::try_from(drawn).unwrap_or_default() % end
}

/// Three digits that mean something.
fn number(value: f64) -> String {
    match value.abs() {
        big if big >= 100_000.0 => format!("{:.0} k", value / 1000.0),
        big if big >= 100.0 => format!("{value:.0}"),
        big if big >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn table(rows: &[Vec<String>]) -> String {
    let columns = rows[0].len();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn line_of(file: &str, name: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}
