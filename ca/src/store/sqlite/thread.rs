//! A connection and its thread: SQLite waits for the disk, which no task may.

use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use super::checkpoint::Checkpoints;
use super::fault;
use super::step::{Outcome, Step};

/// How a file is opened.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) path: PathBuf,
    pub(super) flags: OpenFlags,
    /// Statements that set it up.
    pub(super) pragmas: &'static str,
}

/// Prepared statements that a connection keeps.
const PREPARED: usize = 128;

type Reply<T> = oneshot::Sender<Result<T, sqlx::Error>>;

#[derive(Debug)]
enum Job {
    /// A statement and whether its rows are wanted.
    Run(Step, Reply<Outcome>),
    /// Many statements, as one transaction: the rows of the first.
    Whole(Vec<Step>, Reply<Outcome>),
    /// A text of statements that is no query.
    Script(String, Reply<()>),
    /// Whatever was begun is not wanted any more.
    Undo,
}

/// A handle on the thread. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Thread {
    jobs: mpsc::Sender<Job>,
    handle: JoinHandle<()>,
}

impl Thread {
    /// Opens the file in a thread of its own.
    pub(super) async fn open(name: &'static str, way: Way) -> Result<Self, sqlx::Error> {
        let (jobs, incoming) = mpsc::channel();
        let (opened, outcome) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name.to_owned());
        let handle = thread.spawn(move || match connect(&way) {
            Ok((connection, checkpoints)) => {
                if opened.send(Ok(())).is_ok() {
                    serve(&connection, checkpoints.as_ref(), &incoming);
                }
            }
            Err(error) => drop(opened.send(Err(fault::engine(error)))),
        })?;
        outcome.await.map_err(|_| sqlx::Error::WorkerCrashed)??;
        Ok(Self { jobs, handle })
    }

    /// Whether it can be used no more.
    pub(super) fn has_ended(&self) -> bool {
        self.handle.is_finished()
    }

    pub(super) async fn run(&self, step: Step) -> Result<Outcome, sqlx::Error> {
        self.ask(|reply| Job::Run(step, reply)).await
    }

    /// The rows of the first step.
    pub(super) async fn whole(&self, steps: Vec<Step>) -> Result<Outcome, sqlx::Error> {
        self.ask(|reply| Job::Whole(steps, reply)).await
    }

    pub(super) async fn script(&self, sql: String) -> Result<(), sqlx::Error> {
        self.ask(|reply| Job::Script(sql, reply)).await
    }

    async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, sqlx::Error> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).map_err(|_| sqlx::Error::WorkerCrashed)?;
        answer.await.map_err(|_| sqlx::Error::WorkerCrashed)?
    }

    /// Undoes what was begun, before anything that is asked later.
    pub(super) fn undo(&self) {
        let _ = self.jobs.send(Job::Undo);
    }

    /// Closes the file; blocks until it is.
    pub(super) fn close(self) {
        drop(self.jobs);
        let _ = self.handle.join();
    }
}

/// The connection, and who copies the log of one that writes.
fn connect(way: &Way) -> rusqlite::Result<(Connection, Option<Checkpoints>)> {
    let connection = open(way)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    let writes = way.flags.contains(OpenFlags::SQLITE_OPEN_READ_WRITE);
    let checkpoints = writes.then(|| Checkpoints::of(&connection, || open(way))).transpose()?;
    Ok((connection, checkpoints))
}

fn open(way: &Way) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(&way.path, way.flags)?;
    connection.execute_batch(way.pragmas)?;
    Ok(connection)
}

fn serve(connection: &Connection, checkpoints: Option<&Checkpoints>, jobs: &mpsc::Receiver<Job>) {
    // Nobody may wait for an answer any more; what was asked for is done all the same.
    for job in jobs {
        match job {
            Job::Run(step, reply) => {
                drop(reply.send(one(connection, &step).map_err(fault::engine)))
            }
            Job::Whole(steps, reply) => {
                drop(reply.send(whole(connection, &steps).map_err(fault::engine)));
            }
            Job::Script(sql, reply) => {
                drop(reply.send(connection.execute_batch(&sql).map_err(fault::engine)));
            }
            Job::Undo => undo(connection),
        }
        if let Some(checkpoints) = checkpoints.filter(|_| connection.is_autocommit()) {
            checkpoints.look(connection);
        }
    }
}

/// A statement by itself. What it reads for many rows is of one moment.
fn one(connection: &Connection, step: &Step) -> rusqlite::Result<Outcome> {
    if !step.is_many() || !connection.is_autocommit() {
        return step.run(connection, true);
    }
    Step::plain("BEGIN").run(connection, false)?;
    let outcome = step.run(connection, true);
    finish(connection, outcome)
}

fn whole(connection: &Connection, steps: &[Step]) -> rusqlite::Result<Outcome> {
    Step::plain("BEGIN IMMEDIATE").run(connection, false)?;
    let mut first = None;
    let mut outcome = Ok(());
    for step in steps {
        match step.run(connection, first.is_none()) {
            Ok(found) => drop(first.get_or_insert(found)),
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    finish(connection, outcome.map(|()| first.unwrap_or_default()))
}

/// Commits what went well; whatever did not is undone.
fn finish<T>(connection: &Connection, outcome: rusqlite::Result<T>) -> rusqlite::Result<T> {
    let outcome = outcome.and_then(|value| {
        Step::plain("COMMIT").run(connection, false)?;
        Ok(value)
    });
    if outcome.is_err() {
        undo(connection);
    }
    outcome
}

fn undo(connection: &Connection) {
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "a transaction cannot be undone");
    }
}
