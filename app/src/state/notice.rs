//! What the user should read now.

/// A message above the stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How urgent it is.
    pub kind: NoticeKind,
    /// What happened and what the page does about it, in whole sentences.
    pub text: String,
    /// What the user can do about it.
    pub action: Action,
}

/// How urgent a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// The page goes on as it was.
    Warning,
    /// Something the user asked for was not done.
    Error,
}

/// What a notice offers beside being dismissed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    None,
    /// Load the model again.
    Retry,
}

impl Notice {
    /// A notice that needs nothing from the user.
    pub fn warning(text: impl Into<String>) -> Self {
        Self { kind: NoticeKind::Warning, text: text.into(), action: Action::None }
    }

    /// A notice about something that was not done.
    pub fn error(text: impl Into<String>) -> Self {
        Self { kind: NoticeKind::Error, text: text.into(), action: Action::None }
    }

    /// The same, with a button that loads the model again.
    pub fn with_retry(self) -> Self {
        Self { action: Action::Retry, ..self }
    }
}
