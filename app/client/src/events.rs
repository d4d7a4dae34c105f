//! The events of a job, over as many connections as it takes.

use crate::{
    client::Client,
    error::{ClientError, Problem},
    sse::{Message, Parser},
    transport::{Body as _, Method, Transport},
};
use api::v1::JobEvent;
use std::{collections::VecDeque, time::Duration};

/// Connections in a row that may bring nothing.
const MAX_FAILURES: u32 = 6;
/// Pause before the second of them; it doubles from one to the next.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The events of one job, from the first on; connections that break are taken up again where they broke.
#[derive(Debug)]
pub struct JobEvents<'a, T: Transport> {
    client: &'a Client<T>,
    path: String,
    stream: Option<(T::Body, Parser)>,
    waiting: VecDeque<Message>,
    last_id: Option<String>,
    retry: Option<Duration>,
    failures: u32,
    is_over: bool,
}

impl<'a, T: Transport> JobEvents<'a, T> {
    pub(crate) fn new(client: &'a Client<T>, path: String) -> Self {
        Self {
            client,
            path,
            stream: None,
            waiting: VecDeque::new(),
            last_id: None,
            retry: None,
            failures: 0,
            is_over: false,
        }
    }

    /// Waits for the next event; `None` after the last, which is [`JobEvent::Done`].
    ///
    /// # Errors
    /// When the server refuses, or does not answer several times in a row. The job goes on all the same.
    pub async fn next(&mut self) -> Result<Option<JobEvent>, ClientError> {
        while !self.is_over {
            if let Some(message) = self.waiting.pop_front() {
                // An event that this client does not know is none.
                let event = JobEvent::read(&message.event, &message.data)
                    .map_err(|error| self.client.unreadable(Method::Get, &self.path, &error))?;
                // Only what was handed out is not asked for again.
                self.last_id = message.id.or_else(|| self.last_id.take());
                self.failures = 0;
                match event {
                    Some(event) => {
                        self.is_over = matches!(event, JobEvent::Done(_));
                        return Ok(Some(event));
                    }
                    None => continue,
                }
            }
            if let Err(error) = self.fill().await {
                self.recover(error).await?;
            }
        }
        Ok(None)
    }

    /// Takes the next piece of the stream, opening one if need be.
    async fn fill(&mut self) -> Result<(), ClientError> {
        let (body, parser) = if let Some(stream) = &mut self.stream {
            stream
        } else {
            let body = self.client.stream(&self.path, self.last_id.as_deref()).await?;
            self.stream.insert((body, Parser::default()))
        };
        let lost = |reason: String| ClientError::Transport(reason);
        let Some(chunk) = body.chunk().await.map_err(lost)? else {
            return Err(lost("the connection was closed before the job was over".to_owned()));
        };
        self.waiting
            .extend(parser.push(&chunk).map_err(|error| self.client.unreadable(Method::Get, &self.path, &error))?);
        self.retry = parser.retry().or(self.retry);
        Ok(())
    }

    /// Waits before another connection, or gives up.
    async fn recover(&mut self, error: ClientError) -> Result<(), ClientError> {
        self.stream = None;
        self.failures += 1;
        let asked = match &error {
            ClientError::Transport(_) => None,
            ClientError::Problem(problem) if is_passing(problem) => {
                problem.retry_after.map(|seconds| Duration::from_secs(u64::from(seconds)))
            }
            ClientError::Problem(_) | ClientError::Unreadable { .. } => return Err(error),
        };
        if self.failures >= MAX_FAILURES {
            return Err(error);
        }
        let pause = FIRST_PAUSE * 2_u32.pow(self.failures - 1);
        self.client.transport().pause(pause.max(asked.or(self.retry).unwrap_or_default())).await;
        Ok(())
    }
}

/// Whether asking again may help.
fn is_passing(problem: &Problem) -> bool {
    problem.status == 429 || problem.status >= 500
}
