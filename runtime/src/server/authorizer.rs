//! Who may call what: the first thing that is asked of a call, before interceptors and its service see it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use http::request::Parts;
use tonic::{Code, Status, metadata::MetadataMap};

use super::{
    Call, Reply,
    certificate::{Certificate, Certificates},
    options::{Options, Restriction},
    router::{self, ASKED_OF_ANY_SERVER, Router},
};
use crate::{
    authentication::{AuthenticationRequest, Authenticators},
    authorization::{Authorization, Requirements},
    metrics::ServerSource,
    status,
};

/// What holds for a method.
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// What is declared for it.
    Declared(Authorization),
    /// Nothing is, nor for any other: callers must be known.
    Known,
    /// Nothing is, though something is for others: nobody may call it.
    Undeclared,
    /// Its service says which methods it has, and this is none of them.
    Unknown,
}

/// The rules of a server, made once.
pub(super) struct Authorizer {
    /// By the method's path (`/helloworld.Greeter/SayHello`).
    methods: HashMap<String, Rule>,
    /// By the service's name, for what is not among the methods.
    services: HashMap<&'static str, Rule>,
    authenticators: Authenticators,
}

impl Authorizer {
    /// None where nothing is declared and nobody is to be known.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT for a declaration that nobody could meet, or of what is not served.
    pub(super) fn new(
        router: &Router,
        options: &Options,
        certificates: Certificates,
    ) -> Result<Option<Self>, Status> {
        match options.restriction {
            Restriction::AsDeclared => {}
            Restriction::Lifted => {
                tell_of_lifted(router, options);
                return Ok(None);
            }
            Restriction::Needless => return Ok(None),
        }
        let named = &options.authorizations;
        let mut declared = router.methods().filter_map(|method| method.authorization());
        let is_declared = declared.next().is_some() || !named.is_empty();
        if !is_declared && options.authenticators.is_empty() {
            return Ok(None);
        }
        refuse_unknown(router, named)?;
        let fallback = match is_declared {
            true => Rule::Undeclared,
            false => Rule::Known,
        };
        let mut authorizer = Self {
            methods: HashMap::new(),
            services: HashMap::new(),
            authenticators: options.authenticators.clone(),
        };
        for (service, methods) in router.services() {
            let of_service = named.get(service).copied();
            let is_exempt = ASKED_OF_ANY_SERVER.contains(&service);
            let exempt = is_exempt.then_some(Authorization::Public);
            for method in methods {
                let rule = named.get(method.full_name()).copied();
                let rule = rule.or(of_service).or(method.authorization()).or(exempt);
                let rule = rule.map_or(fallback, Rule::Declared);
                authorizer.methods.insert(method.path().to_owned(), rule);
            }
            let rest = match of_service.or(exempt) {
                Some(authorization) => Rule::Declared(authorization),
                None if methods.is_empty() => fallback,
                None => Rule::Unknown,
            };
            authorizer.services.insert(service, rest);
        }
        // Of services that do not say which methods they have.
        let of_methods = named.iter().filter(|(name, _)| name.contains('/'));
        let of_methods = of_methods.map(|(name, rule)| (format!("/{name}"), Rule::Declared(*rule)));
        authorizer.methods.extend(of_methods);
        authorizer.check(certificates)?;
        authorizer.tell_of_undeclared();
        authorizer.tell_of_certificates(certificates);
        Ok(Some(authorizer))
    }

    /// Refuses what nobody could meet.
    fn check(&self, certificates: Certificates) -> Result<(), Status> {
        let certificates = certificates == Certificates::Possible;
        let knows_callers = !self.authenticators.is_empty();
        for (name, rule) in self.rules() {
            let Rule::Declared(authorization) = rule else {
                continue;
            };
            let refuse = |what: &str| Err(Status::invalid_argument(format!("{name} {what}")));
            if let Err(invalid) = authorization.check() {
                return refuse(&format!("has an authorization that cannot be: {invalid}"));
            }
            match authorization {
                Authorization::Public => {}
                Authorization::Authenticated if knows_callers || certificates => {}
                Authorization::Authenticated => {
                    return refuse(
                        "is for callers who are known, and this server knows none: add an authenticator by \
                         `Server::authenticator`, such as that of JWTs, or take client certificates by \
                         `ServerTls::client_certificates`",
                    );
                }
                Authorization::Required(requirements) => {
                    if requirements.need_scopes() && !knows_callers {
                        return refuse(
                            "needs scopes, and nothing tells which a caller has: add an authenticator by \
                             `Server::authenticator`, such as that of JWTs",
                        );
                    }
                    if !requirements.identities.is_empty() && !certificates {
                        return refuse(
                            "is for certain client certificates, and this server takes none: give it TLS with \
                             `ServerTls::client_certificates`",
                        );
                    }
                }
            }
        }
        Ok(())
    }

    fn tell_of_undeclared(&self) {
        let undeclared = self.names_of(|rule| matches!(rule, Rule::Undeclared));
        if !undeclared.is_empty() {
            tracing::warn!(
                target: "wireloom",
                methods = undeclared.join(", "),
                "calls are refused, since others declare who may call them and these do not"
            );
        }
    }

    /// Where there are tokens and client certificates, one of them may be taken to be needed that is not.
    fn tell_of_certificates(&self, certificates: Certificates) {
        if certificates == Certificates::Never || self.authenticators.is_empty() {
            return;
        }
        let is_met_by_either = |rule| {
            matches!(
                rule,
                Rule::Known | Rule::Declared(Authorization::Authenticated)
            )
        };
        let methods = self.names_of(is_met_by_either);
        if !methods.is_empty() {
            tracing::warn!(
                target: "wireloom",
                methods = methods.join(", "),
                "any client certificate lets its client call these, without what the authenticator asks for: declare \
                 `scopes` where a token is needed, `identities` where only some certificates are to do"
            );
        }
    }

    fn names_of(&self, is_wanted: impl Fn(Rule) -> bool) -> Vec<&str> {
        let rules = self.rules().into_iter();
        let wanted = rules.filter(|(_, rule)| is_wanted(*rule));
        wanted.map(|(name, _)| name).collect()
    }

    /// All rules by the names of what they are for, in the order of the names.
    fn rules(&self) -> BTreeMap<&str, Rule> {
        let methods = self.methods.iter();
        let methods = methods.map(|(path, rule)| (path.trim_start_matches('/'), *rule));
        let services = self.services.iter().map(|(name, rule)| (*name, *rule));
        services.chain(methods).collect()
    }

    /// Lets `call` pass, or leaves it with the reply that it gets instead: interceptors and observers see that.
    pub(super) async fn admit(&self, call: &mut Call, metrics: &ServerSource) {
        if call.parts.early_reply.is_some() {
            return;
        }
        let Some(rule) = self.rule(call.path()) else {
            return;
        };
        // What its service says later of a method, no rule was made of.
        call.parts.is_authorized = matches!(rule, Rule::Declared(_));
        let needed = match rule {
            Rule::Declared(Authorization::Public) => return,
            Rule::Declared(authorization) => Ok(authorization),
            Rule::Known => Ok(Authorization::Authenticated),
            Rule::Undeclared => Err(Status::permission_denied(
                "who may call this method is not declared",
            )),
            Rule::Unknown => Err(call.no_such_method()),
        };
        let admitted = match needed {
            // On the heap, so that a server without rules has no room for it.
            Ok(authorization) => {
                Box::pin(self.check_caller(authorization, &mut call.parts.head)).await
            }
            Err(status) => Err(status),
        };
        if let Err(status) = admitted {
            tracing::debug!(
                target: "wireloom",
                method = call.path().trim_start_matches('/'),
                code = status::code_name(status.code()),
                reason = status.message(),
                "a call was refused"
            );
            metrics.refused(match status.code() {
                Code::PermissionDenied => "permission_denied",
                Code::Unauthenticated => "unauthenticated",
                Code::Unimplemented => "no_such_method",
                _ => "authentication_failed",
            });
            call.parts.early_reply = Some(Box::new(Reply::early(status)));
        }
    }

    /// What holds for a path; nothing for what is not served.
    fn rule(&self, path: &str) -> Option<Rule> {
        let of_service = || self.services.get(router::service_of(path)?);
        self.methods.get(path).or_else(of_service).copied()
    }

    async fn check_caller(
        &self,
        authorization: Authorization,
        head: &mut Parts,
    ) -> Result<(), Status> {
        let metadata = MetadataMap::from_headers(std::mem::take(&mut head.headers));
        let request = AuthenticationRequest {
            path: head.uri.path(),
            metadata: &metadata,
            extensions: &head.extensions,
        };
        let authenticated = self.authenticators.authenticate(&request).await;
        head.headers = metadata.into_headers();
        let caller = authenticated?;
        let certificate = Certificate::of(head);
        match authorization {
            Authorization::Public => {}
            Authorization::Authenticated if caller.is_some() || certificate.is_some() => {}
            Authorization::Authenticated => return Err(no_credentials()),
            Authorization::Required(requirements) => {
                if requirements.need_scopes() {
                    let caller = caller.as_ref().ok_or_else(no_credentials)?;
                    if !requirements.are_met_by_scopes(|scope| caller.has_scope(scope)) {
                        return Err(insufficient_scope(&requirements));
                    }
                }
                certificate_is_allowed(certificate, requirements.identities)?;
            }
        }
        if let Some(caller) = caller {
            caller.extend(&mut head.extensions);
        }
        Ok(())
    }
}

fn refuse_unknown(router: &Router, named: &BTreeMap<String, Authorization>) -> Result<(), Status> {
    let mut names = named.keys();
    match names.find_map(|name| router.unknown(name, "an authorization is")) {
        None => Ok(()),
        Some(unknown) => Err(Status::invalid_argument(unknown)),
    }
}

/// Warns where everyone may call what is declared to be for some.
fn tell_of_lifted(router: &Router, options: &Options) {
    let named = &options.authorizations;
    let is_restricted = |of: &Authorization| !matches!(of, Authorization::Public);
    let methods = router.services().flat_map(|(service, methods)| {
        methods.iter().filter(move |method| {
            let of_name = named.get(method.full_name()).or(named.get(service));
            let declared = of_name.copied().or(method.authorization());
            declared.as_ref().is_some_and(is_restricted)
        })
    });
    let methods = methods.map(|method| method.full_name());
    let named = named.iter().filter(|(_, of)| is_restricted(of));
    let restricted: BTreeSet<_> = named
        .map(|(name, _)| name.as_str())
        .chain(methods)
        .collect();
    let restricted = Vec::from_iter(restricted).join(", ");
    match options.authenticators.is_empty() {
        true if restricted.is_empty() => {}
        true => tracing::warn!(
            target: "wireloom",
            declared = restricted,
            "anyone may call what is declared to be for some: `Server::unrestricted` lifts all authorization"
        ),
        false => tracing::warn!(
            target: "wireloom",
            declared = restricted,
            "anyone may call everything, and no authenticator is asked: `Server::unrestricted` lifts all authorization"
        ),
    }
}

/// The messages are those of [RFC 6750, section 3](https://www.rfc-editor.org/rfc/rfc6750#section-3).
fn no_credentials() -> Status {
    Status::unauthenticated("the method needs credentials, and the call has none")
}

fn insufficient_scope(requirements: &Requirements) -> Status {
    Status::permission_denied(format!(
        "insufficient_scope: the method needs {}",
        requirements.scopes_in_words()
    ))
}

fn certificate_is_allowed(
    certificate: Option<Certificate<'_>>,
    identities: &[&str],
) -> Result<(), Status> {
    if identities.is_empty() {
        return Ok(());
    }
    let Some(certificate) = certificate else {
        return Err(Status::unauthenticated(
            "the method needs a client certificate, and the connection has none",
        ));
    };
    match identities.iter().any(|pattern| certificate.is(pattern)) {
        true => Ok(()),
        false => Err(Status::permission_denied(
            "the client certificate is none of those that the method is for",
        )),
    }
}
