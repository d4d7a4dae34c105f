//! An account's rows. Everything here is synchronous: what one call does between two waits is one transaction.

use super::op::{Denied, JobRecord, JobRef, KeyRecord, NewKey, UploadRecord};
use api::v1::DeliveryStatus;
use gateway::{
    job::Job,
    moderation::Strikes,
    rate_limit::{Log, RecentRequests},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use worker::{SqlStorage, SqlStorageValue};

/// What every row-touching function returns.
pub type Result<T> = std::result::Result<T, Denied>;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS balance (id INTEGER PRIMARY KEY CHECK (id = 1), credits INTEGER NOT NULL CHECK (credits >= 0));
CREATE TABLE IF NOT EXISTS ledger (
  entry INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER, at INTEGER NOT NULL, credits INTEGER NOT NULL CHECK (credits >= 0),
  kind TEXT NOT NULL CHECK (kind IN ('grant', 'reserve', 'capture', 'refund')), UNIQUE (job, kind)
);
CREATE UNIQUE INDEX IF NOT EXISTS one_settlement ON ledger (job) WHERE kind IN ('capture', 'refund');
CREATE TABLE IF NOT EXISTS keys (id TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, is_open INTEGER NOT NULL, due INTEGER, expires INTEGER, value TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS jobs_due ON jobs (due) WHERE due IS NOT NULL;
CREATE INDEX IF NOT EXISTS jobs_open ON jobs (is_open) WHERE is_open = 1;
CREATE INDEX IF NOT EXISTS jobs_expire ON jobs (expires) WHERE expires IS NOT NULL;
CREATE TABLE IF NOT EXISTS idempotency (key TEXT PRIMARY KEY, request TEXT NOT NULL, job INTEGER NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS uploads (id TEXT PRIMARY KEY, expires INTEGER NOT NULL, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS webhooks (id TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (id TEXT PRIMARY KEY, next INTEGER, at INTEGER NOT NULL, value TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS deliveries_next ON deliveries (next) WHERE next IS NOT NULL;
CREATE TABLE IF NOT EXISTS audit (entry INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, what TEXT NOT NULL);
";

/// What there is once an account.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Facts {
    /// Its name.
    pub account: String,
    /// Its plan.
    pub plan: String,
    /// When it was opened.
    pub created: u64,
    /// Why it may do nothing.
    pub suspended: Option<String>,
    /// When its owner deleted it.
    pub deleted: Option<u64>,
    /// Hits of blocked terms.
    pub strikes: Strikes,
    /// Recent bodies of the older dialect.
    pub recent: RecentRequests,
    /// The number of the last job.
    pub last_job: u64,
    /// Pictures and credits a day; the newest last.
    pub days: VecDeque<(String, u64, u64)>,
    /// Pictures a month from the plan, with the month.
    pub month: (String, u64),
    /// Pictures by publishable keys today, with the day.
    pub public: (String, u64),
    /// Signs deliveries to addresses that came with a request.
    pub webhook_secret: [u8; 24],
    /// When its stored inputs were last compared with its jobs.
    #[serde(default)]
    pub compared: u64,
}

/// A job as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stored {
    /// What answers say of it.
    pub record: JobRecord,
    /// Its life.
    pub life: Job,
    /// Where its inputs are.
    pub inputs: BTreeMap<String, String>,
    /// Inputs that nobody but this job has.
    pub own_inputs: Vec<String>,
    /// Its work, in pixels times steps.
    pub work: u64,
    /// Pictures that the plan's month paid for.
    pub from_month: u64,
    /// The trace it belongs to.
    pub traceparent: String,
    /// The node that has it.
    pub node: Option<String>,
    /// When it was offered to nodes last.
    pub offered: u64,
}

/// A receiver as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Receiver {
    /// Where it is.
    pub url: String,
    /// Signs what it gets.
    pub secret: [u8; 24],
    /// What it wants to hear.
    pub events: Vec<String>,
    /// Whether it said that it is gone.
    pub is_disabled: bool,
    /// When it was made.
    pub created: u64,
}

/// A delivery as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Delivery {
    /// The receiver, where it is one of the account's.
    pub webhook: Option<String>,
    /// Where it goes.
    pub url: String,
    /// What is said.
    pub body: String,
    /// The job it tells of.
    pub job: String,
    /// Where it is.
    pub status: DeliveryStatus,
    /// Tries since it was made or sent again.
    pub tries: usize,
    /// When, and with which status.
    pub attempts: Vec<(u64, Option<u16>)>,
}

#[derive(Deserialize)]
struct Value {
    value: String,
}

#[derive(Deserialize)]
struct Number {
    number: f64,
}

#[derive(Deserialize)]
struct NamedValue {
    id: String,
    value: String,
}

/// Says what failed in the log; the client learns only that something did.
fn internal(error: impl std::fmt::Display) -> Denied {
    Denied::Internal(error.to_string())
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(internal)
}

fn write<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(internal)
}

fn int(number: u64) -> SqlStorageValue {
    // Times in milliseconds and counts stay far below 2^53, which is what a JavaScript number holds.
    SqlStorageValue::Float(number as f64)
}

fn maybe(number: Option<u64>) -> SqlStorageValue {
    number.map_or(SqlStorageValue::Null, int)
}

/// The rows.
#[derive(Debug)]
pub struct Store {
    sql: SqlStorage,
    /// Whether the tables are known to be there.
    is_open: Cell<bool>,
    /// As they stand in their row, once they were read: nobody else writes it.
    facts: RefCell<Option<Facts>>,
    /// Keys by their hashes, as they stand in their rows.
    keys: RefCell<BTreeMap<String, KeyRecord>>,
}

impl Store {
    fn run(&self, query: &str, bound: Vec<SqlStorageValue>) -> Result<worker::SqlCursor> {
        self.sql.exec(query, Some(bound)).map_err(internal)
    }

    fn all<T: DeserializeOwned>(&self, query: &str, bound: Vec<SqlStorageValue>) -> Result<Vec<T>> {
        self.run(query, bound)?.to_array().map_err(internal)
    }

    fn values<T: DeserializeOwned>(&self, query: &str, bound: Vec<SqlStorageValue>) -> Result<Vec<T>> {
        self.all::<Value>(query, bound)?.iter().map(|row| read(&row.value)).collect()
    }

    fn named<T: DeserializeOwned>(&self, query: &str, bound: Vec<SqlStorageValue>) -> Result<Vec<(String, T)>> {
        let rows = self.all::<NamedValue>(query, bound)?;
        rows.into_iter().map(|row| Ok((row.id, read(&row.value)?))).collect()
    }

    fn number(&self, query: &str, bound: Vec<SqlStorageValue>) -> Result<Option<u64>> {
        Ok(self.all::<Number>(query, bound)?.first().map(|row| row.number as u64))
    }

    /// The rows of an object, whether or not it has any.
    pub const fn new(sql: SqlStorage) -> Self {
        Self { sql, is_open: Cell::new(false), facts: RefCell::new(None), keys: RefCell::new(BTreeMap::new()) }
    }

    /// Says that the tables are gone.
    pub fn close(&self) {
        self.is_open.set(false);
        self.facts.take();
        self.keys.take();
    }

    /// Whether an account is here; asking leaves nothing behind.
    pub fn is_open(&self) -> Result<bool> {
        let query = "SELECT COUNT(*) AS number FROM sqlite_master WHERE name = 'facts'";
        Ok(self.number(query, Vec::new())?.unwrap_or(0) > 0)
    }

    /// Makes the tables.
    pub fn open(&self) -> Result<()> {
        self.sql.exec(SCHEMA, None).map_err(internal).map(drop)
    }

    /// What there is once; `None` where there is no account.
    pub fn facts(&self) -> Result<Option<Facts>> {
        if !self.is_open.get() {
            if !self.is_open()? {
                return Ok(None);
            }
            self.is_open.set(true);
        }
        if self.facts.borrow().is_none() {
            *self.facts.borrow_mut() = self.values("SELECT value FROM facts WHERE name = 'account'", Vec::new())?.pop();
        }
        Ok(self.facts.borrow().clone())
    }

    /// Keeps them.
    pub fn put_facts(&self, facts: &Facts) -> Result<()> {
        let query =
            "INSERT INTO facts (name, value) VALUES ('account', ?) ON CONFLICT DO UPDATE SET value = excluded.value";
        self.facts.take();
        self.run(query, vec![write(facts)?.into()])?;
        *self.facts.borrow_mut() = Some(facts.clone());
        Ok(())
    }

    /// Admitted requests, as of the last job that was taken. They are a row of their own, since the facts are read for every
    /// request, and these only once.
    pub fn log(&self) -> Result<Log> {
        Ok(self.values("SELECT value FROM facts WHERE name = 'log'", Vec::new())?.pop().unwrap_or_default())
    }

    /// Keeps them.
    pub fn put_log(&self, log: &Log) -> Result<()> {
        let query =
            "INSERT INTO facts (name, value) VALUES ('log', ?) ON CONFLICT DO UPDATE SET value = excluded.value";
        self.run(query, vec![write(log)?.into()]).map(drop)
    }

    /// Credits that can be spent.
    pub fn credits(&self) -> Result<u64> {
        Ok(self.number("SELECT credits AS number FROM balance", Vec::new())?.unwrap_or(0))
    }

    /// Credits held for jobs that are not over.
    pub fn held(&self) -> Result<u64> {
        let query = "SELECT COALESCE(SUM(credits), 0) AS number FROM ledger AS held WHERE kind = 'reserve' AND NOT EXISTS \
                     (SELECT 1 FROM ledger WHERE job = held.job AND kind IN ('capture', 'refund'))";
        Ok(self.number(query, Vec::new())?.unwrap_or(0))
    }

    /// Adds credits.
    pub fn grant(&self, credits: u64, at: u64) -> Result<()> {
        let query = "INSERT INTO balance (id, credits) VALUES (1, ?) ON CONFLICT DO UPDATE SET credits = credits + excluded.credits";
        self.run(query, vec![int(credits)])?;
        self.run(
            "INSERT INTO ledger (job, at, credits, kind) VALUES (NULL, ?, ?, 'grant')",
            vec![int(at), int(credits)],
        )
        .map(drop)
    }

    /// Holds a job's price; `false` where there is not enough.
    pub fn reserve(&self, job: u64, credits: u64, at: u64) -> Result<bool> {
        let query = "UPDATE balance SET credits = credits - ?1 WHERE credits >= ?1 RETURNING credits AS number";
        if self.number(query, vec![int(credits)])?.is_none() {
            return Ok(false);
        }
        let query = "INSERT INTO ledger (job, at, credits, kind) VALUES (?, ?, ?, 'reserve')";
        self.run(query, vec![int(job), int(at), int(credits)])?;
        Ok(true)
    }

    /// Ends a hold, once; `false` where that was done before.
    pub fn settle(&self, job: u64, is_captured: bool, at: u64) -> Result<bool> {
        let query = "INSERT INTO ledger (job, at, credits, kind) SELECT job, ?, credits, ? FROM ledger AS held WHERE job = ? AND \
                     kind = 'reserve' AND NOT EXISTS (SELECT 1 FROM ledger WHERE job = held.job AND kind IN ('capture', 'refund')) \
                     RETURNING credits AS number";
        let kind = if is_captured { "capture" } else { "refund" };
        let Some(credits) = self.number(query, vec![int(at), kind.into(), int(job)])? else { return Ok(false) };
        if !is_captured {
            self.run("UPDATE balance SET credits = credits + ?", vec![int(credits)])?;
        }
        Ok(true)
    }

    /// Keeps a job, new or changed. `due` is when something must be done about it, `goes` when its pictures go, or it does.
    pub fn put_job(&self, job: &Stored, due: Option<u64>, goes: Option<u64>) -> Result<()> {
        let query = "INSERT INTO jobs (number, id, is_open, due, expires, value) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (number) DO \
                     UPDATE SET is_open = excluded.is_open, due = excluded.due, expires = excluded.expires, value = excluded.value";
        let is_open = u64::from(!job.life.state().is_over());
        let bound = vec![
            int(job.record.number),
            job.record.id.as_str().into(),
            int(is_open),
            maybe(due),
            maybe(goes),
            write(job)?.into(),
        ];
        self.run(query, bound).map(drop)
    }

    /// One job by its number.
    pub fn job(&self, number: u64) -> Result<Option<Stored>> {
        Ok(self.values("SELECT value FROM jobs WHERE number = ?", vec![int(number)])?.pop())
    }

    /// One job by its name.
    pub fn job_by_id(&self, id: &str) -> Result<Option<Stored>> {
        Ok(self.values("SELECT value FROM jobs WHERE id = ?", vec![id.into()])?.pop())
    }

    /// What answers say of a job, as it stands in its row.
    pub fn job_record(&self, job: &JobRef) -> Result<Option<Box<RawValue>>> {
        #[derive(Deserialize)]
        struct Row {
            record: Box<RawValue>,
        }
        let rows = match job {
            JobRef::Number(number) => self.values::<Row>("SELECT value FROM jobs WHERE number = ?", vec![int(*number)]),
            JobRef::Id(id) => self.values("SELECT value FROM jobs WHERE id = ?", vec![id.as_str().into()]),
        };
        Ok(rows?.pop().map(|row| row.record))
    }

    /// Jobs before a number, newest first.
    pub fn jobs(&self, limit: u32, before: Option<u64>) -> Result<Vec<Stored>> {
        let query = "SELECT value FROM jobs WHERE number < ? ORDER BY number DESC LIMIT ?";
        let before = before.unwrap_or(1 << 52);
        self.values(query, vec![int(before), int(u64::from(limit))])
    }

    /// Jobs that wait or run.
    pub fn open_jobs(&self) -> Result<u32> {
        Ok(self.number("SELECT COUNT(*) AS number FROM jobs WHERE is_open = 1", Vec::new())?.unwrap_or(0) as u32)
    }

    /// Jobs about which something must be done.
    pub fn due_jobs(&self, now: u64) -> Result<Vec<Stored>> {
        self.values("SELECT value FROM jobs WHERE due <= ? ORDER BY number LIMIT 100", vec![int(now)])
    }

    /// Jobs whose pictures go, or that do themselves.
    pub fn expired_jobs(&self, now: u64) -> Result<Vec<Stored>> {
        self.values("SELECT value FROM jobs WHERE expires <= ? AND is_open = 0 LIMIT 50", vec![int(now)])
    }

    /// Forgets a job.
    pub fn delete_job(&self, number: u64) -> Result<()> {
        self.run("DELETE FROM jobs WHERE number = ?", vec![int(number)]).map(drop)
    }

    /// Where the inputs of jobs are that wait or run.
    pub fn open_inputs(&self) -> Result<BTreeSet<String>> {
        let open: Vec<Stored> = self.values("SELECT value FROM jobs WHERE is_open = 1", Vec::new())?;
        Ok(open.into_iter().flat_map(|stored| stored.inputs.into_values()).collect())
    }

    /// When something must be done next.
    pub fn next_due(&self) -> Result<Option<u64>> {
        let query = "SELECT MIN(at) AS number FROM (SELECT MIN(due) AS at FROM jobs WHERE due IS NOT NULL UNION ALL SELECT \
                     MIN(next) FROM deliveries WHERE next IS NOT NULL UNION ALL SELECT MIN(expires) FROM jobs WHERE expires IS NOT \
                     NULL AND is_open = 0 UNION ALL SELECT MIN(expires) FROM uploads) HAVING MIN(at) IS NOT NULL";
        self.number(query, Vec::new())
    }

    /// What was kept under an `Idempotency-Key`: the request's hash, the job, and when.
    pub fn idempotency(&self, key: &str) -> Result<Option<(String, u64, u64)>> {
        #[derive(Deserialize)]
        struct Row {
            request: String,
            job: f64,
            at: f64,
        }
        let rows = self.all::<Row>("SELECT request, job, at FROM idempotency WHERE key = ?", vec![key.into()])?;
        Ok(rows.into_iter().next().map(|row| (row.request, row.job as u64, row.at as u64)))
    }

    /// Keeps a job under an `Idempotency-Key`, and forgets those that are over.
    pub fn put_idempotency(&self, key: &str, request: &str, job: u64, at: u64, forget: u64) -> Result<()> {
        self.run("DELETE FROM idempotency WHERE at < ?", vec![int(forget)])?;
        let query = "INSERT OR REPLACE INTO idempotency (key, request, job, at) VALUES (?, ?, ?, ?)";
        self.run(query, vec![key.into(), request.into(), int(job), int(at)]).map(drop)
    }

    /// A key by its hash.
    pub fn key(&self, hash: &str) -> Result<Option<KeyRecord>> {
        if let Some(key) = self.keys.borrow().get(hash) {
            return Ok(Some(key.clone()));
        }
        let key: Option<KeyRecord> = self.values("SELECT value FROM keys WHERE hash = ?", vec![hash.into()])?.pop();
        if let Some(key) = &key {
            self.keys.borrow_mut().insert(hash.to_owned(), key.clone());
        }
        Ok(key)
    }

    /// A key by its name.
    pub fn key_by_id(&self, id: &str) -> Result<Option<KeyRecord>> {
        Ok(self.values("SELECT value FROM keys WHERE id = ?", vec![id.into()])?.pop())
    }

    /// Every key.
    pub fn keys(&self) -> Result<Vec<KeyRecord>> {
        self.values("SELECT value FROM keys ORDER BY rowid", Vec::new())
    }

    /// Keeps a key, new or changed.
    pub fn put_key(&self, record: &KeyRecord) -> Result<()> {
        let query = "INSERT INTO keys (id, hash, value) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, value \
                     = excluded.value";
        let NewKey { id, hash, .. } = &record.key;
        // The old hash of a rotated key must not be found any more.
        self.keys.take();
        self.run(query, vec![id.as_str().into(), hash.as_str().into(), write(record)?.into()]).map(drop)
    }

    /// Forgets a key.
    pub fn delete_key(&self, id: &str) -> Result<()> {
        self.keys.take();
        self.run("DELETE FROM keys WHERE id = ?", vec![id.into()]).map(drop)
    }

    /// Keeps an upload.
    pub fn put_upload(&self, upload: &UploadRecord) -> Result<()> {
        let query = "INSERT INTO uploads (id, expires, value) VALUES (?, ?, ?)";
        self.run(query, vec![upload.id.as_str().into(), int(upload.expires), write(upload)?.into()]).map(drop)
    }

    /// One upload.
    pub fn upload(&self, id: &str) -> Result<Option<UploadRecord>> {
        Ok(self.values("SELECT value FROM uploads WHERE id = ?", vec![id.into()])?.pop())
    }

    /// Every upload.
    pub fn uploads(&self) -> Result<Vec<UploadRecord>> {
        self.values("SELECT value FROM uploads ORDER BY rowid", Vec::new())
    }

    /// Uploads that are over.
    pub fn expired_uploads(&self, now: u64) -> Result<Vec<UploadRecord>> {
        self.values("SELECT value FROM uploads WHERE expires <= ? LIMIT 50", vec![int(now)])
    }

    /// Forgets an upload.
    pub fn delete_upload(&self, id: &str) -> Result<()> {
        self.run("DELETE FROM uploads WHERE id = ?", vec![id.into()]).map(drop)
    }

    /// Every receiver.
    pub fn receivers(&self) -> Result<Vec<(String, Receiver)>> {
        self.named("SELECT id, value FROM webhooks ORDER BY rowid", Vec::new())
    }

    /// Keeps a receiver.
    pub fn put_receiver(&self, id: &str, receiver: &Receiver) -> Result<()> {
        let query = "INSERT INTO webhooks (id, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value";
        self.run(query, vec![id.into(), write(receiver)?.into()]).map(drop)
    }

    /// Forgets a receiver; `false` where there is none.
    pub fn delete_receiver(&self, id: &str) -> Result<bool> {
        let query = "DELETE FROM webhooks WHERE id = ? RETURNING 1 AS number";
        Ok(self.number(query, vec![id.into()])?.is_some())
    }

    /// Keeps a delivery; `next` is when it is tried.
    pub fn put_delivery(&self, id: &str, delivery: &Delivery, next: Option<u64>, at: u64) -> Result<()> {
        let query = "INSERT INTO deliveries (id, next, at, value) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET next = \
                     excluded.next, value = excluded.value";
        self.run(query, vec![id.into(), maybe(next), int(at), write(delivery)?.into()]).map(drop)
    }

    /// One delivery.
    pub fn delivery(&self, id: &str) -> Result<Option<Delivery>> {
        Ok(self.values("SELECT value FROM deliveries WHERE id = ?", vec![id.into()])?.pop())
    }

    /// Deliveries that are tried now.
    pub fn due_deliveries(&self, now: u64) -> Result<Vec<(String, Delivery)>> {
        self.named("SELECT id, value FROM deliveries WHERE next <= ? ORDER BY next LIMIT 20", vec![int(now)])
    }

    /// The newest deliveries, with when they are tried next.
    pub fn deliveries(&self) -> Result<Vec<(String, Delivery, Option<u64>)>> {
        #[derive(Deserialize)]
        struct Row {
            id: String,
            next: Option<f64>,
            value: String,
        }
        let rows = self.all::<Row>("SELECT id, next, value FROM deliveries ORDER BY at DESC LIMIT 100", Vec::new())?;
        rows.into_iter().map(|row| Ok((row.id, read(&row.value)?, row.next.map(|next| next as u64)))).collect()
    }

    /// Forgets what was told of a job, as far as nothing of it is still to be sent.
    pub fn forget_deliveries(&self, job: &str) -> Result<()> {
        let query = "DELETE FROM deliveries WHERE next IS NULL AND value ->> '$.job' = ?";
        self.run(query, vec![job.into()]).map(drop)
    }

    /// Forgets deliveries and other marks of long ago.
    pub fn forget_before(&self, at: u64) -> Result<()> {
        self.run("DELETE FROM deliveries WHERE at < ? AND next IS NULL", vec![int(at)])?;
        self.run("DELETE FROM idempotency WHERE at < ?", vec![int(at)])?;
        self.run("DELETE FROM audit WHERE at < ?", vec![int(at)]).map(drop)
    }

    /// Notes what an owner or an administrator may ask for later.
    pub fn audit(&self, at: u64, what: &str) -> Result<()> {
        self.run("INSERT INTO audit (at, what) VALUES (?, ?)", vec![int(at), what.into()]).map(drop)
    }

    /// Every row of a table as JSON, for export.
    pub fn export(&self, table: &'static str) -> Result<Vec<serde_json::Value>> {
        self.all(&format!("SELECT * FROM {table}"), Vec::new())
    }
}
