//! Fields that `google.api.field_behavior` calls `REQUIRED`.

use std::collections::HashMap;

use wireloom::{Request, Response, Status};

use crate::proto::required::{
    Color, Filled, Form, Forms, FormsClient, FormsServer, Page, Signature, Witness, form,
};
use crate::support::{bad_request, in_process, pairs, violations};

/// Takes every form.
struct Tray;

impl Forms for Tray {
    async fn fill(&self, _: Request<Form>) -> Result<Response<Filled>, Status> {
        Ok(Response::new(Filled {}))
    }

    async fn sign(&self, _: Request<Signature>) -> Result<Response<Filled>, Status> {
        Ok(Response::new(Filled {}))
    }
}

fn client() -> FormsClient {
    FormsClient::new(in_process(FormsServer::new(Tray)))
}

fn page(title: &str) -> Page {
    let title = title.to_owned();
    Page {
        title,
        notes: HashMap::new(),
    }
}

/// A form that has all that it must have.
fn filled() -> Form {
    Form {
        text: "a".to_owned(),
        data: vec![0],
        count: 1,
        agreed: true,
        color: Color::Red.into(),
        optional_count: Some(0),
        page: Some(page("a")),
        pages: vec![page("a")],
        named: HashMap::from([("a".to_owned(), page("a"))]),
        contact: Some(form::Contact::Email(String::new())),
        id: "a".to_owned(),
        ..Form::default()
    }
}

#[tokio::test]
async fn what_is_set_need_not_be_more_where_it_has_presence() {
    client().fill(filled()).await.unwrap();
}

#[tokio::test]
async fn a_field_of_every_kind_must_be_set() {
    let status = client().fill(Form::default()).await.unwrap_err();
    let fields = [
        "text",
        "data",
        "count",
        "agreed",
        "color",
        "optional_count",
        "page",
        "pages",
        "named",
        "email",
        "id",
    ];
    let expected = fields.map(|field| (field, "required"));
    assert_eq!(violations(&status), pairs(&expected));
    for violation in bad_request(&status) {
        assert_eq!(violation.description, "value is required");
    }
}

#[tokio::test]
async fn each_field_is_told_by_itself() {
    type Unset = fn(&mut Form);
    let cases: [(&str, Unset); 11] = [
        ("text", |form| form.text.clear()),
        ("data", |form| form.data.clear()),
        ("count", |form| form.count = 0),
        ("agreed", |form| form.agreed = false),
        ("color", |form| form.color = Color::Unspecified.into()),
        ("optional_count", |form| form.optional_count = None),
        ("page", |form| form.page = None),
        ("pages", |form| form.pages.clear()),
        ("named", |form| form.named.clear()),
        ("email", |form| form.contact = None),
        ("id", |form| form.id.clear()),
    ];
    let client = client();
    for (field, unset) in cases {
        let mut form = filled();
        unset(&mut form);
        let status = client.fill(form).await.unwrap_err();
        assert_eq!(violations(&status), pairs(&[(field, "required")]));
    }
}

#[tokio::test]
async fn paths_of_fields_in_fields_are_those_of_protovalidate() {
    let untitled = || Page::default();
    let within = |key: &str| Page {
        notes: HashMap::from([(key.to_owned(), untitled())]),
        ..page("a")
    };
    let cases: [(&str, Form); 7] = [
        (
            "page.title",
            Form {
                page: Some(untitled()),
                ..filled()
            },
        ),
        (
            "pages[1].title",
            Form {
                pages: vec![page("a"), untitled()],
                ..filled()
            },
        ),
        (
            r#"named["a"].notes["b"].title"#,
            Form {
                named: HashMap::from([("a".to_owned(), within("b"))]),
                ..filled()
            },
        ),
        (
            "appendix.title",
            Form {
                appendix: Some(untitled()),
                ..filled()
            },
        ),
        (
            r#"appendix.notes["say \"ä\"\n\u0007"].title"#,
            Form {
                appendix: Some(within("say \"ä\"\n\u{7}")),
                ..filled()
            },
        ),
        (
            "numbered[7].title",
            Form {
                numbered: HashMap::from([(7, untitled())]),
                ..filled()
            },
        ),
        (
            "judged[true].title",
            Form {
                judged: HashMap::from([(true, untitled())]),
                ..filled()
            },
        ),
    ];
    let client = client();
    for (field, form) in cases {
        let status = client.fill(form).await.unwrap_err();
        assert_eq!(violations(&status), pairs(&[(field, "required")]));
    }
}

#[tokio::test]
async fn what_is_required_by_both_is_told_once() {
    let signature = Signature {
        others: HashMap::from([("a".to_owned(), Witness::default())]),
        ..Signature::default()
    };
    let status = client().sign(signature).await.unwrap_err();
    let mut told = violations(&status);
    told.sort();
    let fields = [r#"others["a"].name"#, "name", "place", "witness"];
    let mut expected = pairs(&fields.map(|field| (field, "required")));
    expected.sort();
    assert_eq!(told, expected);
    let short = Signature {
        name: "a".to_owned(),
        place: "b".to_owned(),
        witness: Some(Witness {
            name: "c".to_owned(),
        }),
        others: HashMap::new(),
    };
    let status = client().sign(short).await.unwrap_err();
    assert_eq!(violations(&status), pairs(&[("name", "string.min_len")]));
}
