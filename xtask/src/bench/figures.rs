//! What was measured, and medians of it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::options::Setup;

/// One measure of the token alone.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    signatures: f64,
    seconds: f64,
    cpu: f64,
}

impl Raw {
    /// `SIGNATURES SECONDS CPU-SECONDS`.
    pub(super) fn read(line: &str) -> Option<Self> {
        let numbers: Vec<f64> = line.split_whitespace().map_while(|n| n.parse().ok()).collect();
        let [signatures, seconds, cpu] = numbers[..] else { return None };
        Some(Self { signatures, seconds, cpu })
    }

    pub(super) fn rate(&self) -> f64 {
        self.signatures / self.seconds
    }
}

/// One measure of issuance.
#[derive(Debug, Clone)]
pub(super) struct Run {
    issued: f64,
    /// Those of the warm-up too.
    pub(super) issued_ever: f64,
    seconds: f64,
    pub(super) not_issued: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    cpu: BTreeMap<String, f64>,
}

impl Run {
    /// The load generator's line of JSON.
    pub(super) fn read(line: &str) -> Option<Self> {
        let json: Value = serde_json::from_str(line).ok()?;
        let number = |name: &str| json[name].as_f64();
        let cpu = json["cpu_seconds"].as_object()?;
        Some(Self {
            issued: number("issued")?,
            issued_ever: number("issued_with_warm_up")?,
            seconds: number("seconds")?,
            not_issued: number("not_issued")?,
            p50: number("ms_p50")?,
            p99: number("ms_p99")?,
            cpu: cpu.iter().filter_map(|(name, n)| Some((name.clone(), n.as_f64()?))).collect(),
        })
    }

    pub(super) fn rate(&self) -> f64 {
        self.issued / self.seconds
    }

    /// Processor time of one part for each certificate, in µs.
    fn cost(&self, part: &str) -> f64 {
        self.cpu.get(part).copied().unwrap_or(0.0) * 1e6 / self.issued.max(1.0)
    }

    /// Processors kept busy by programs that have nothing to do with it.
    fn others(&self) -> f64 {
        let ours: f64 = self.cpu.iter().filter(|(name, _)| *name != "machine").map(|p| p.1).sum();
        (self.cpu.get("machine").copied().unwrap_or(0.0) - ours).max(0.0) / self.seconds
    }
}

/// All measures of one installation.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) setup: Setup,
    raw: BTreeMap<usize, Vec<Raw>>,
    runs: BTreeMap<usize, Vec<Run>>,
    /// fdatasync calls for each certificate of one client.
    pub(super) syncs: Option<f64>,
}

impl Figures {
    pub(super) fn new(setup: Setup) -> Self {
        Self { setup, raw: BTreeMap::new(), runs: BTreeMap::new(), syncs: None }
    }

    pub(super) fn raw(&mut self, threads: usize, raw: Raw) {
        self.raw.entry(threads).or_default().push(raw);
    }

    pub(super) fn run(&mut self, clients: usize, run: Run) {
        self.runs.entry(clients).or_default().push(run);
    }

    /// Medians of the token alone by number of threads: signatures per second, µs for each.
    pub(super) fn raws(&self) -> impl Iterator<Item = (usize, f64, f64)> + '_ {
        self.raw.iter().map(|(threads, raws)| {
            let cost = |raw: &Raw| raw.cpu * 1e6 / raw.signatures.max(1.0);
            (*threads, median(raws.iter().map(Raw::rate)), median(raws.iter().map(cost)))
        })
    }

    /// The token's best: signatures per second.
    pub(super) fn token(&self) -> f64 {
        self.raws().map(|(_, rate, _)| rate).fold(0.0, f64::max)
    }

    pub(super) fn clients(&self) -> impl Iterator<Item = usize> + '_ {
        self.runs.keys().copied()
    }

    /// Median over the rounds of something about runs with so many clients.
    pub(super) fn of(&self, clients: usize, what: impl Fn(&Run) -> f64) -> f64 {
        median(self.runs.get(&clients).into_iter().flatten().map(what))
    }

    /// µs of processor time of one part for each certificate.
    pub(super) fn cost(&self, clients: usize, part: &str) -> f64 {
        self.of(clients, |run| run.cost(part))
    }

    /// Processors kept busy by others, in all runs.
    pub(super) fn others(&self) -> f64 {
        median(self.runs.values().flatten().map(Run::others))
    }

    /// Requests that were not answered with a certificate.
    pub(super) fn not_issued(&self) -> f64 {
        self.runs.values().flatten().map(|run| run.not_issued).sum()
    }
}

/// The middle one, or the mean of the two in the middle; 0 of nothing.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => 0.0,
        (n, half) if n % 2 == 1 => values[half],
        (_, half) => (values[half - 1] + values[half]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median([]), 0.0);
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0]), 2.5);
    }

    #[test]
    fn a_line_of_the_generator_becomes_rates_and_costs() {
        let line = r#"{"issued":1000,"issued_with_warm_up":1200,"seconds":2.0,"not_issued":0,"ms_p50":1.5,"ms_p99":9.0,
            "cpu_seconds":{"authority":0.5,"load":0.1,"machine":1.6}}"#;
        let run = Run::read(line).unwrap();
        assert_eq!((run.rate(), run.cost("authority"), run.cost("gateway")), (500.0, 500.0, 0.0));
        assert!((run.others() - 0.5).abs() < 1e-9);
        assert!(Run::read("{}").is_none());
    }
}
