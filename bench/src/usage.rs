//! Processor time of processes (proc(5)).

use std::collections::BTreeMap;

use crate::Error;

/// Clock ticks in a second, as Linux shows them to programs on every architecture in use.
const TICKS: f64 = 100.0;

/// User and system time by name, in seconds.
#[derive(Debug)]
pub(crate) struct Usage {
    pub(crate) seconds: BTreeMap<String, f64>,
}

impl Usage {
    /// As spent until now by the watched processes, by this one (`load`), and by all of the machine
    /// (`machine`). Processes of one name are taken together.
    pub(crate) fn read(watch: &[(String, u32)]) -> Result<Self, Error> {
        let mut seconds = BTreeMap::new();
        seconds.insert("load".to_owned(), process("self")?);
        seconds.insert("machine".to_owned(), machine()?);
        for (name, pid) in watch {
            *seconds.entry(name.clone()).or_insert(0.0) += process(&pid.to_string())?;
        }
        Ok(Self { seconds })
    }

    /// What was spent between two readings.
    pub(crate) fn since(mut self, before: &Self) -> Self {
        for (name, seconds) in &mut self.seconds {
            *seconds -= before.seconds.get(name).copied().unwrap_or(0.0);
        }
        self
    }
}

fn process(pid: &str) -> Result<f64, Error> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    // The name in parentheses may hold anything; utime and stime are the 14th and 15th field.
    let (_, after_name) = stat.rsplit_once(')').ok_or("an odd /proc/PID/stat")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let field = |n: usize| -> Result<f64, Error> {
        Ok(fields.get(n).ok_or("a short /proc/PID/stat")?.parse()?)
    };
    Ok((field(11)? + field(12)?) / TICKS)
}

/// Time that all processors together were not idle.
fn machine() -> Result<f64, Error> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().ok_or("an empty /proc/stat")?;
    // user, nice, system, idle, iowait, irq, softirq
    let ticks = line.split_whitespace().skip(1).take(7).map(str::parse);
    let ticks: Vec<f64> = ticks.collect::<Result<_, _>>()?;
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    Ok((ticks.iter().sum::<f64>() - idle) / TICKS)
}
