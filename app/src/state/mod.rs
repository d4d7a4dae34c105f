//! Everything the page knows, in one store; components get its fields.

mod account;
mod engine;
mod form;
mod gallery;
mod library;
mod notice;
mod page;
mod run;
mod server;

pub use account::{Account, AccountStoreFields, FreshKey};
pub use engine::{Engine, EngineStoreFields, Status};
pub use form::{Form, FormStoreFields, StartPicture, guidance, pictures, seed, steps, strength};
pub use gallery::{Gallery, GalleryStoreFields, Picture, PictureRecord};
pub use library::{Keeping, Library, LibraryModel, LibraryStoreFields, Phase, Room};
pub use notice::{Action, Notice, NoticeKind};
pub use page::{Page, PageStoreFields, expect_page, provide_page, status, status_untracked};
pub use run::{Place, Remote, Run, RunStoreFields};
pub use server::{Quote, Server, ServerStoreFields};
