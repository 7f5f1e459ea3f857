use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, FileDescriptorSet, OneofDescriptorProto,
};
use tonic::Code;

use super::{
    descriptors::FILE_DESCRIPTOR_SET,
    index::Index,
    messages::{
        ExtensionRequest, FileDescriptorResponse, MessageRequest, MessageResponse,
        ServerReflectionRequest,
    },
    service,
};

/// `c.proto` imports `b.proto`, which extends a message of `a.proto`.
fn index() -> Index {
    let file = |name: &str, package: &str, imports: &[&str]| FileDescriptorProto {
        name: Some(name.to_owned()),
        package: Some(package.to_owned()),
        dependency: imports.iter().map(|import| (*import).to_owned()).collect(),
        ..FileDescriptorProto::default()
    };
    let extension = |name: &str, number| FieldDescriptorProto {
        extendee: Some(".pub.M".to_owned()),
        ..field(name, number)
    };
    let files = [
        FileDescriptorProto {
            message_type: vec![message()],
            ..file("a.proto", "pub", &[])
        },
        FileDescriptorProto {
            extension: vec![extension("x", 101), extension("y", 100)],
            ..file("b.proto", "pub", &["a.proto", "gone.proto"])
        },
        file("c.proto", "", &["b.proto", "a.proto"]),
    ];
    let set = FileDescriptorSet { file: files.into() };
    let mut index = Index::new(["x.Served"].into_iter());
    index.add(&set.encode_to_vec()).unwrap();
    index
}

fn field(name: &str, number: i32) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        ..FieldDescriptorProto::default()
    }
}

/// `message M { oneof o { uint32 f = 1; } enum E { V = 0; } }`
fn message() -> DescriptorProto {
    DescriptorProto {
        name: Some("M".to_owned()),
        field: vec![field("f", 1)],
        oneof_decl: vec![OneofDescriptorProto {
            name: Some("o".to_owned()),
            options: None,
        }],
        enum_type: vec![EnumDescriptorProto {
            name: Some("E".to_owned()),
            value: vec![EnumValueDescriptorProto {
                name: Some("V".to_owned()),
                ..EnumValueDescriptorProto::default()
            }],
            ..EnumDescriptorProto::default()
        }],
        ..DescriptorProto::default()
    }
}

fn ask(
    index: &Index,
    sent: &mut BTreeSet<String>,
    request: MessageRequest,
) -> Result<Vec<String>, Code> {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(request),
    };
    let names = |files: FileDescriptorResponse| {
        let files = files.file_descriptor_proto.into_iter();
        let decoded = files.map(|file| FileDescriptorProto::decode(file).unwrap());
        decoded.map(|file| file.name().to_owned()).collect()
    };
    match service::answer(index, &request, sent) {
        Ok(MessageResponse::FileDescriptor(files)) => Ok(names(files)),
        Ok(MessageResponse::ListServices(listed)) => Ok(listed
            .service
            .into_iter()
            .map(|service| service.name)
            .collect()),
        Ok(MessageResponse::AllExtensionNumbers(numbers)) => Ok(numbers
            .extension_number
            .iter()
            .map(i32::to_string)
            .collect()),
        Ok(MessageResponse::Error(error)) | Err(error) => Err(Code::from_i32(error.error_code)),
    }
}

fn ask_once(request: MessageRequest) -> Result<Vec<String>, Code> {
    ask(&index(), &mut BTreeSet::new(), request)
}

fn symbol(name: &str) -> Result<Vec<String>, Code> {
    ask_once(MessageRequest::FileContainingSymbol(name.to_owned()))
}

#[test]
fn a_file_comes_with_all_that_it_imports_once() {
    let (index, mut sent) = (index(), BTreeSet::new());
    let mut file = |name: &str| {
        let request = MessageRequest::FileByFilename(name.to_owned());
        ask(&index, &mut sent, request)
    };
    assert_eq!(
        file("c.proto").unwrap(),
        ["c.proto", "b.proto", "a.proto"],
        "an import that is missing is left out"
    );
    assert_eq!(file("b.proto").unwrap(), ["b.proto"]);
    assert_eq!(file("gone.proto"), Err(Code::NotFound));
}

#[test]
fn every_kind_of_symbol_has_its_file() {
    for name in ["pub.M", "pub.M.f", "pub.M.o", "pub.M.E", "pub.M.V"] {
        assert_eq!(symbol(name).unwrap(), ["a.proto"], "{name}");
    }
    assert_eq!(symbol("pub.x").unwrap(), ["b.proto", "a.proto"]);
    for name in ["pub", "M", ".pub.M", "pub.M.E.V", ""] {
        assert_eq!(symbol(name), Err(Code::NotFound), "{name}");
    }
}

#[test]
fn services_and_methods_are_symbols() {
    let mut index = Index::new([].into_iter());
    index.add(FILE_DESCRIPTOR_SET).unwrap();
    for name in ["grpc.health.v1.Health", "grpc.health.v1.Health.Watch"] {
        let file = index.file_of_symbol(name);
        assert_eq!(file, Some("grpc/health/v1/health.proto"));
    }
}

#[test]
fn extensions_are_found_by_their_numbers() {
    let extension = |message: &str, number| {
        ask_once(MessageRequest::FileContainingExtension(ExtensionRequest {
            containing_type: message.to_owned(),
            extension_number: number,
        }))
    };
    assert_eq!(extension("pub.M", 101).unwrap(), ["b.proto", "a.proto"]);
    assert_eq!(extension("pub.M", 102), Err(Code::NotFound));
    assert_eq!(extension("pub.N", 101), Err(Code::NotFound));
    let all = |message: &str| {
        ask_once(MessageRequest::AllExtensionNumbersOfType(
            message.to_owned(),
        ))
    };
    assert_eq!(all("pub.M").unwrap(), ["100", "101"]);
    assert_eq!(all("pub.N"), Err(Code::NotFound));
}

#[test]
fn services_are_those_that_are_served() {
    let listed = ask_once(MessageRequest::ListServices(String::new()));
    assert_eq!(listed.unwrap(), ["x.Served"]);
}

#[test]
fn a_request_for_nothing_is_an_error_in_the_stream() {
    let nothing = ServerReflectionRequest::default();
    let error = service::answer(&index(), &nothing, &mut BTreeSet::new()).unwrap_err();
    assert_eq!(Code::from_i32(error.error_code), Code::InvalidArgument);
}

#[test]
fn what_is_no_descriptor_set_is_refused() {
    let refused = Index::default().add(b"\x0a\x05abc").unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}
