//! Operations, in as few words as they need.

use super::problem_name;
use serde_json::Value;
use utoipa::openapi::{
    Content, ContentBuilder, HeaderBuilder, HttpMethod, ObjectBuilder, Ref, RefOr, Required, Response, ResponseBuilder,
    Schema, SchemaFormat, Type,
    path::{Operation, OperationBuilder, ParameterBuilder, ParameterIn},
    request_body::RequestBodyBuilder,
    security::SecurityRequirement,
};

/// An operation, and where it is.
pub struct Described {
    /// Its path, with names in braces.
    pub path: String,
    /// Its method.
    pub method: HttpMethod,
    /// The rest.
    pub operation: Operation,
}

/// An operation that is being described.
pub struct Describing {
    path: String,
    method: HttpMethod,
    builder: OperationBuilder,
}

/// Begins a description.
pub fn describe(method: HttpMethod, path: &str, id: &str, tag: &str, summary: &str) -> Describing {
    let builder = OperationBuilder::new().operation_id(Some(id)).tag(tag).summary(Some(summary));
    Describing { path: path.to_owned(), method, builder }
}

/// A schema of the document, by its name.
pub fn named(name: &str) -> RefOr<Schema> {
    Ref::from_schema_name(name).into()
}

/// Bytes.
pub fn binary() -> RefOr<Schema> {
    let format = SchemaFormat::Custom("binary".to_owned());
    Schema::from(ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build()).into()
}

/// A text.
pub fn text() -> RefOr<Schema> {
    Schema::from(ObjectBuilder::new().schema_type(Type::String).build()).into()
}

impl Describing {
    fn with(mut self, change: impl FnOnce(OperationBuilder) -> OperationBuilder) -> Self {
        self.builder = change(self.builder);
        self
    }

    /// What it does, at length.
    pub fn about(self, text: &str) -> Self {
        self.with(|builder| builder.description(Some(text)))
    }

    /// A part of the path, of letters, digits, `_` and `-` after a prefix.
    pub fn part(self, name: &str, about: &str, prefix: &str) -> Self {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(format!("^{prefix}[0-9A-Za-z_-]{{1,59}}$")))
            .build();
        self.parameter(ParameterIn::Path, name, about, Schema::from(schema))
    }

    /// A field of the header, the query or the path.
    pub fn parameter(self, place: ParameterIn, name: &str, about: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        let required = if matches!(place, ParameterIn::Path) { Required::True } else { Required::False };
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .required(required)
            .description(Some(about))
            .schema(Some(schema.into()))
            .build();
        self.with(|builder| builder.parameter(parameter))
    }

    /// A JSON body by the name of its schema, with an example.
    pub fn json(self, schema: &str, example: Value) -> Self {
        let content = ContentBuilder::new().schema(Some(named(schema))).example(Some(example)).build();
        self.body(true, [("application/json", content)])
    }

    /// A body of one of some types.
    pub fn body<const N: usize>(self, is_required: bool, contents: [(&str, Content); N]) -> Self {
        let required = if is_required { Required::True } else { Required::False };
        let body =
            contents.into_iter().fold(RequestBodyBuilder::new().required(Some(required)), |body, (kind, content)| {
                body.content(kind, content)
            });
        self.with(|builder| builder.request_body(Some(body.build())))
    }

    /// An answer in JSON, by the name of its schema.
    pub fn answer(self, status: u16, about: &str, schema: &str) -> Self {
        let response = json_response(about, schema).build();
        self.response(status, response)
    }

    /// An answer without a body.
    pub fn empty(self, status: u16, about: &str) -> Self {
        self.response(status, ResponseBuilder::new().description(about).build())
    }

    /// Any answer.
    pub fn response(self, status: u16, response: Response) -> Self {
        self.with(|builder| builder.response(status.to_string(), response))
    }

    /// Problems with these statuses, and others that nobody foresees.
    pub fn problems(self, statuses: &[u16]) -> Self {
        let problem = |name: &str| RefOr::Ref(Ref::from_response_name(name));
        self.with(|builder| {
            let builder = statuses
                .iter()
                .fold(builder, |builder, &status| builder.response(status.to_string(), problem(&problem_name(status))));
            builder.response("default", problem("Problem"))
        })
    }

    /// The scheme of a key that it needs, among them none where it can do without.
    pub fn security(self, schemes: &[Option<&str>]) -> Self {
        self.with(|builder| {
            schemes.iter().fold(builder, |builder, scheme| {
                builder.security(match scheme {
                    Some(name) => SecurityRequirement::new(*name, [""; 0]),
                    None => SecurityRequirement::default(),
                })
            })
        })
    }

    /// The end of the description.
    pub fn done(self) -> Described {
        let Self { path, method, builder } = self;
        Described { path, method, operation: builder.build() }
    }
}

/// An answer in JSON, by the name of its schema, that can still be changed.
pub fn json_response(about: &str, schema: &str) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(named(schema))).build();
    ResponseBuilder::new().description(about).content("application/json", content)
}

/// A field of an answer's header.
pub fn header(about: &str) -> utoipa::openapi::Header {
    HeaderBuilder::new().schema(Some(text())).description(Some(about)).build()
}
