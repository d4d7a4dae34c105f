//! Everything the page knows, in one store; components get its fields.

mod engine;
mod form;
mod gallery;
mod notice;
mod page;
mod run;

pub use engine::{Engine, EngineStoreFields, Status};
pub use form::{Form, FormStoreFields, StartPicture, guidance, pictures, seed, steps, strength};
pub use gallery::{Gallery, GalleryStoreFields, Picture, PictureRecord};
pub use notice::{Action, Notice, NoticeKind};
pub use page::{Page, PageStoreFields, expect_page, provide_page};
pub use run::{Run, RunStoreFields};
