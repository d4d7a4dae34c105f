//! Calls over a transport that has its answers written down.

use super::*;
use std::{cell::RefCell, collections::VecDeque, time::Duration};

/// What the transport does when it is asked next.
enum Answer {
    Status(u16, &'static str),
    /// Pieces of a body of status 200, and whether it ends well.
    Pieces(Vec<&'static str>, bool),
    Unreachable,
}

#[derive(Default)]
struct Script {
    answers: RefCell<VecDeque<Answer>>,
    requests: RefCell<Vec<Request>>,
    pauses: RefCell<Vec<Duration>>,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self { answers: RefCell::new(answers.into_iter().collect()), ..Self::default() }
    }
}

struct Pieces(VecDeque<&'static str>, bool);

impl Body for Pieces {
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, String> {
        match self.0.pop_front() {
            Some(piece) => Ok(Some(piece.as_bytes().to_vec())),
            None if self.1 => Ok(None),
            None => Err("reset".to_owned()),
        }
    }
}

impl Transport for &Script {
    type Body = Pieces;

    async fn send(&self, request: Request) -> Result<Response<Pieces>, String> {
        self.requests.borrow_mut().push(request);
        let answer = self.answers.borrow_mut().pop_front().ok_or("nothing more was expected")?;
        let (status, pieces, ends_well) = match answer {
            Answer::Status(status, body) => (status, vec![body], true),
            Answer::Pieces(pieces, ends_well) => (200, pieces, ends_well),
            Answer::Unreachable => return Err("refused".to_owned()),
        };
        Ok(Response { status, retry_after: None, body: Pieces(pieces.into(), ends_well) })
    }

    async fn pause(&self, pause: Duration) {
        self.pauses.borrow_mut().push(pause);
    }
}

fn header(request: &Request, name: &str) -> Option<String> {
    request.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
}

const DONE: &str = concat!(
    "id: 4\nevent: done\ndata: {\"id\":\"job_1\",\"status\":\"succeeded\",\"task\":\"generate\",\"model\":\"demo\",\"price\":1,",
    "\"created_at\":\"2026-11-21T00:00:00Z\",\"finished_at\":null,\"position\":null,\"eta_seconds\":null,\"progress\":null,",
    "\"pictures\":[],\"error\":null,\"expires_at\":null,",
    "\"links\":{\"self\":\"/v1/jobs/job_1\",\"events\":\"/v1/jobs/job_1/events\",\"cancel\":\"/v1/jobs/job_1/cancel\"}}\n\n"
);
const STEP: &str = "id: 2\nevent: progress\ndata: {\"phase\":\"denoising\",\"step\":1,\"of\":4,\"seconds_per_step\":0.5,\"eta_seconds\":1.5}\n\n";

async fn all_events(script: &Script) -> Result<Vec<JobEvent>, ClientError> {
    let client = Client::new(script, "https://pictures.example/").with_key("sk_live_secret");
    let mut events = client.job_events("job_1");
    let mut seen = Vec::new();
    while let Some(event) = events.next().await? {
        seen.push(event);
    }
    Ok(seen)
}

#[test]
fn a_stream_that_breaks_is_taken_up_after_the_last_event() {
    let script = Script::new([
        Answer::Pieces(vec![&STEP[..20], &STEP[20..], "id: 3\nevent: pre"], false),
        Answer::Unreachable,
        Answer::Status(503, "{}"),
        Answer::Pieces(vec!["id: 3\nevent: preview\ndata: {\"index\":0,\"png\":\"AQID\"}\n\n"], true),
        Answer::Pieces(vec!["event: something_new\ndata: 1\n\n", DONE], true),
    ]);
    let seen = pollster::block_on(all_events(&script)).unwrap();
    let [JobEvent::Progress(progress), JobEvent::Preview(preview), JobEvent::Done(job)] = seen.as_slice() else {
        panic!("{seen:?}")
    };
    assert_eq!((progress.step, file_of(&preview.png), job.status), (1, Some(vec![1, 2, 3]), JobStatus::Succeeded));

    let requests = script.requests.borrow();
    let ids: Vec<Option<String>> = requests.iter().map(|request| header(request, "last-event-id")).collect();
    let id = |text: &str| Some(text.to_owned());
    assert_eq!(ids, [None, id("2"), id("2"), id("2"), id("3")]);
    assert_eq!(requests[0].url, "https://pictures.example/v1/jobs/job_1/events");
    assert_eq!(header(&requests[0], "accept").as_deref(), Some("text/event-stream"));
    assert_eq!(header(&requests[0], "authorization").as_deref(), Some("Bearer sk_live_secret"));
    let pauses: Vec<u128> = script.pauses.borrow().iter().map(Duration::as_millis).collect();
    assert_eq!(pauses, [500, 1000, 2000, 500], "an event begins the count anew");
}

#[test]
fn a_server_that_stays_away_is_given_up() {
    let script = Script::new((0..20).map(|_| Answer::Unreachable));
    let error = pollster::block_on(all_events(&script)).unwrap_err();
    assert_eq!(error, ClientError::Transport("refused".to_owned()));
    assert_eq!(script.requests.borrow().len(), 6);
}

#[test]
fn a_job_of_someone_else_is_not_asked_for_again() {
    let script = Script::new([Answer::Status(404, r#"{"code":"not_found","detail":"there is no such job"}"#)]);
    let error = pollster::block_on(all_events(&script)).unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), (Some(Code::NotFound), "there is no such job"));
}

#[test]
fn links_are_followed_on_the_edge_that_was_asked() {
    let script = Script::new([Answer::Status(200, "png"), Answer::Status(200, "png")]);
    let client = Client::new(&script, "").with_key("sk_live_secret");
    let picture = |url: &str| PictureLink {
        url: url.to_owned(),
        seed: 1,
        width: 64,
        height: 64,
        sha256: String::new(),
        flagged: false,
        base64: None,
    };
    for url in ["https://elsewhere.example/pictures/a/1/1/0.png?exp=1&sig=x", "/pictures/a/1/1/0.png?exp=1&sig=x"] {
        assert_eq!(pollster::block_on(client.picture(&picture(url))).unwrap(), b"png");
    }
    for request in script.requests.borrow().iter() {
        assert_eq!(request.url, "/pictures/a/1/1/0.png?exp=1&sig=x");
        assert_eq!(header(request, "authorization"), None, "a key is for the API");
    }
}

#[test]
fn an_order_whose_answer_is_lost_is_sent_again_under_the_same_name() {
    let spec = serde_json::from_str(r#"{"prompt":"x","size":[64,64]}"#).unwrap();
    let delivery = Delivery { instant: true, ..Delivery::default() };
    let order = ImageRequest { task: Task::Generate { spec }, model: None, censor: None, upscale: 1, delivery };
    let broken = Answer::Pieces(vec!["{\"id\":"], false);
    let script = Script::new([broken, Answer::Unreachable, Answer::Status(402, r#"{"code":"insufficient_credits"}"#)]);
    let client = Client::new(&script, "");
    let error = pollster::block_on(client.create_images(&order, "order-17")).unwrap_err();
    assert_eq!(error.code(), Some(Code::InsufficientCredits), "a refusal is an answer");
    let requests = script.requests.borrow();
    let names: Vec<Option<String>> = requests.iter().map(|request| header(request, "idempotency-key")).collect();
    assert_eq!(names, vec![Some("order-17".to_owned()); 3]);
    assert_eq!(script.pauses.borrow().len(), 2);
}

#[test]
fn what_is_no_json_is_said_to_be_none() {
    let script = Script::new([Answer::Status(200, "<!doctype html>")]);
    let error = pollster::block_on(Client::new(&script, "").models()).unwrap_err();
    assert!(error.to_string().starts_with("the server's answer to GET /v1/models cannot be read"), "{error}");
}

#[test]
fn the_edge_reads_what_is_asked_of_keys() {
    for key in [
        NewKey { kind: KeyKind::Secret, name: "laptop".to_owned(), scopes: vec![], origins: vec![] },
        NewKey {
            kind: KeyKind::Publishable,
            name: String::new(),
            scopes: vec![Scope::Images],
            origins: vec!["https://example.com".to_owned()],
        },
    ] {
        let script = Script::new([Answer::Status(422, "{}")]);
        let refused = pollster::block_on(Client::new(&script, "").create_key(&key));
        assert!(matches!(refused, Err(ClientError::Problem(_))));
        let body = script.requests.borrow()[0].body.clone().unwrap();
        let read = NewKey::read(&api::body::json(body.as_bytes()).unwrap()).unwrap();
        assert_eq!((read.kind, &read.name, &read.origins), (key.kind, &key.name, &key.origins));
    }
}

#[test]
fn a_key_is_not_printed() {
    let script = Script::default();
    let client = Client::new(&script, "https://pictures.example").with_key("sk_live_secret");
    assert!(!format!("{client:?}").contains("secret"));
}
