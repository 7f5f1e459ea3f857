use std::time::Duration;

use super::*;
use crate::server::{Budget, Limits, settings::Shown};

fn configure(server: Server, file: &str, variables: &[(&str, &str)]) -> Result<Server, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    std::fs::write(&path, file).unwrap();
    let variables = variables.iter();
    let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let configured = server.configured_by(&path, true, variables);
    let place = format!("{}/", folder.path().display());
    configured.map_err(|status| {
        assert_eq!(status.code(), Code::InvalidArgument);
        status.message().replace(&place, "")
    })
}

fn error(file: &str, variables: &[(&str, &str)]) -> String {
    configure(Server::builder(), file, variables).unwrap_err()
}

#[test]
fn variables_win_over_the_file_which_wins_over_what_was_set_before() {
    let before = Server::builder()
        .shutdown_timeout(Duration::from_secs(1))
        .lame_duck_time(Duration::from_secs(1))
        .max_concurrent_streams(1);
    let file = "[server]\nlame_duck_time = '2s'\nmax_concurrent_streams = 2";
    let variables = [("WIRELOOM_SERVER_MAX_CONCURRENT_STREAMS", "3")];
    let options = configure(before, file, &variables).unwrap().options;
    assert_eq!(options.shutdown_timeout, Duration::from_secs(1));
    assert_eq!(options.lame_duck_time, Duration::from_secs(2));
    assert_eq!(options.max_concurrent_streams, 3);
}

#[test]
fn one_size_for_both_directions_gives_way_to_that_of_one_of_the_same_source() {
    let sizes = |file: &str, variables: &[(&str, &str)]| {
        let options = configure(Server::builder(), file, variables)
            .unwrap()
            .options;
        (
            options.max_receive_message_size,
            options.compression.max_message_size,
        )
    };
    let both = "[server]\nmax_message_size = '1KiB'";
    assert_eq!(sizes(both, &[]), (1024, 1024));
    let one = "[server]\nmax_send_message_size = 5\nmax_message_size = '1KiB'";
    assert_eq!(sizes(one, &[]), (1024, 5));
    let variables = [
        ("WIRELOOM_SERVER_MAX_RECEIVE_MESSAGE_SIZE", "7"),
        ("WIRELOOM_SERVER_MAX_MESSAGE_SIZE", "6"),
    ];
    assert_eq!(sizes(one, &variables), (7, 6));
    assert_eq!(
        error("[server]\nmax_message_size = 'big'", &[]),
        "wireloom.toml:2:1: max_message_size is \"big\", and must be a number of bytes such as 4194304, \"4096KiB\" or \
         \"4MiB\", or \"unlimited\""
    );
}

#[cfg(feature = "tls")]
#[test]
fn what_is_set_of_handshakes_wins_over_the_tls_that_was_given_before() {
    use crate::tls::{Identity, ServerTls};

    let tls = || ServerTls::new(Identity::pem("", ""));
    let variables = [("WIRELOOM_SERVER_TLS_HANDSHAKE_TIMEOUT", "3s")];
    let configured = |server| configure(server, "", &variables).unwrap();
    let timeout = |server: Server| server.options.tls_handshake_timeout.as_secs();
    let in_code = || Server::builder().tls(tls().handshake_timeout(Duration::from_secs(5)));
    assert_eq!(timeout(Server::builder().tls(tls())), 10);
    assert_eq!(timeout(in_code()), 5);
    assert_eq!(timeout(configured(in_code())), 3);
    let after = configured(Server::builder()).tls(tls());
    assert_eq!(timeout(after), 3);
}

#[test]
fn what_is_set_after_the_configuration_wins_and_is_shown_as_such() {
    let file = "[server]\nlame_duck_time = '2s'\nshutdown_timeout = '2s'";
    let variables = [("WIRELOOM_SERVER_MAX_RECEIVE_MESSAGE_SIZE", "1MiB")];
    let server = configure(Server::builder(), file, &variables).unwrap();
    let shown = Shown(&server.shutdown_timeout(Duration::ZERO).options).to_string();
    for part in [
        "lame_duck_time=2s (",
        "wireloom.toml:2:1)",
        "max_receive_message_size=1048576 (WIRELOOM_SERVER_MAX_RECEIVE_MESSAGE_SIZE)",
        "shutdown_timeout=0ns (code)",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn a_file_has_lists_where_a_variable_has_commas() {
    let file = "[server]\nlisten = ['127.0.0.1:0', 'unix:/run/a.sock']";
    let listen = |server: Server| server.options.listen;
    let configured = configure(Server::builder(), file, &[]).unwrap();
    assert_eq!(listen(configured), ["127.0.0.1:0", "unix:/run/a.sock"]);
    let variables = [("WIRELOOM_SERVER_LISTEN", "127.0.0.1:1,[::1]:1")];
    let configured = configure(Server::builder(), file, &variables).unwrap();
    assert_eq!(listen(configured), ["127.0.0.1:1", "[::1]:1"]);
    for none in ["[]", "'none'"] {
        let server = Server::builder().listen(["127.0.0.1:1"]);
        let file = format!("[server]\nlisten = {none}");
        assert!(listen(configure(server, &file, &[]).unwrap()).is_empty());
    }
    let variables = [("WIRELOOM_SERVER_LISTEN", "['127.0.0.1:1']")];
    let problem = "WIRELOOM_SERVER_LISTEN: listen is \"['127.0.0.1:1']\", and must be addresses such as \
                   \"127.0.0.1:50051\" or \"unix:/run/greeter.sock\", with commas between and neither quotes nor brackets \
                   around them, or \"none\"";
    assert_eq!(error("", &variables), problem);
    for file in [
        "[server]\nlisten = [1]",
        "[server]\nlisten = ['']",
        "[server]\nkeepalive = ['1h']",
    ] {
        assert!(error(file, &[]).contains("must be"), "{file}");
    }
}

const METHOD: &str = "a.B/C";

#[test]
fn limits_of_methods_are_tables_of_their_own_over_those_of_the_code() {
    let of_code = Limits {
        max_concurrent_calls: Some(7),
        ..Limits::default()
    };
    let before = Server::builder().method_limits(METHOD, of_code);
    let file = "[server.method_limits.'/a.B/C']\nrate_limit = '5/s'\nmax_queued_calls = 3\n\
                [server.method_limits.'a.D']\nadaptive_limit = 'on'";
    let server = configure(before, file, &[]).unwrap();
    let methods = &server.options.admission.methods;
    assert_eq!(methods[METHOD].max_concurrent_calls, Some(7));
    assert_eq!(methods[METHOD].queue.max_calls, 3);
    assert_eq!(methods[METHOD].rate.map(|rate| rate.burst), Some(5));
    assert!(methods["a.D"].adaptive.is_some());
    let shown = Shown(&server.options).to_string();
    for part in [
        "method_limits.\"a.B/C\"={adaptive_limit=off, max_concurrent_calls=7, max_queue_time=50ms, max_queued_calls=3, \
         rate_limit=5/s burst 5} (",
        "wireloom.toml:1:23)",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let replaced = server.method_limits(METHOD, Limits::default());
    let shown = Shown(&replaced.options).to_string();
    assert!(shown.contains("rate_limit=unlimited} (code)"), "{shown}");
}

#[test]
fn an_adaptive_limit_is_set_and_shown_with_all_its_parts() {
    let variables = [(
        "WIRELOOM_SERVER_ADAPTIVE_LIMIT",
        "on initial 9 tolerance 1.5",
    )];
    let server = configure(Server::builder(), "", &variables).unwrap();
    let adaptive = server.options.admission.limits.adaptive.unwrap();
    assert_eq!((adaptive.initial, adaptive.tolerance), (9, 1.5));
    let shown = Shown(&server.options).to_string();
    let part = "adaptive_limit=8..10000 initial 9 tolerance 1.5 (WIRELOOM_SERVER_ADAPTIVE_LIMIT)";
    assert!(shown.contains(part), "{shown}");
    assert_eq!(
        error("[server]\nadaptive_limit = 'on initial 5'", &[]),
        "wireloom.toml:2:1: adaptive_limit is \"on initial 5\", and must be \"off\", \"on\", or the least and the most that \
         the limit becomes, such as \"8..10000\"; and behind the latter two where it begins, within them, and how many times \
         the usual latency is good, above 1, such as \"8..10000 initial 64 tolerance 2\""
    );
}

#[test]
fn what_is_wrong_with_limits_of_methods_has_a_place_and_says_what_must_be() {
    let file = "[server.method_limits.'a.B/C']\nrate_limt = '5/s'\nmax_queued_calls = 'few'\nrate_limit = [1]\n\
                [server.method_limits.a.D]\nrate_limit = '5/s'";
    let example = "[server.method_limits.\"helloworld.Greeter/SayHello\"]";
    assert_eq!(
        error(file, &[]),
        format!(
            "wireloom.toml:2:1: [server.method_limits.\"a.B/C\"] has no key rate_limt: did you mean rate_limit?\n\
             wireloom.toml:3:1: max_queued_calls is \"few\", and must be a whole number, or \"unlimited\"\n\
             wireloom.toml:4:1: rate_limit is of another kind, and must be calls per second such as \"1000/s\", with a \
             burst such as \"1000/s burst 50\", or \"unlimited\"\n\
             wireloom.toml:5:25: [server.method_limits.\"a\"] has no key D: a name that has dots stands in quotes: {example}"
        )
    );
    assert_eq!(
        error("[server.method_limits]\nrate_limit = '5/s'", &[]),
        format!(
            "wireloom.toml:2:1: method_limits has rate_limit, which must be a table of a method or a service, such as \
             {example}"
        )
    );
    assert_eq!(
        error("[server]\nmethod_limits = 1", &[]),
        format!(
            "wireloom.toml:2:1: method_limits must have a table for each method or service, such as {example}"
        )
    );
}

#[tokio::test]
async fn what_cannot_be_listened_on_is_told_with_its_place() {
    let file = "[server]\nlisten = ':50051'";
    let server = configure(Server::builder(), file, &[]).unwrap();
    let status = server.listeners().await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let problem = "wireloom.toml:2:1: cannot listen on :50051: the host is missing";
    assert!(status.message().contains(problem), "{status}");
}

#[test]
fn limits_that_let_nobody_in_are_refused_with_their_place() {
    for (name, value, shown) in [
        ("MAX_CONNECTIONS", "0", "max_connections is 0"),
        ("MAX_UNSENT_BYTES", "0", "max_unsent_bytes is 0"),
        ("HANDSHAKE_TIMEOUT", "0s", "handshake_timeout is 0ns"),
        ("DEFAULT_TIMEOUT", "0s", "default_timeout is 0ns"),
        ("KEEPALIVE_TIMEOUT", "0s", "keepalive_timeout is 0ns"),
        ("MAX_CONNECTION_AGE", "0s", "max_connection_age is 0ns"),
        ("MAX_CONNECTION_IDLE", "0s", "max_connection_idle is 0ns"),
    ] {
        let variable = format!("WIRELOOM_SERVER_{name}");
        let server = configure(Server::builder(), "", &[(&variable, value)]).unwrap();
        let status = server.into_process().unwrap_err();
        let problem = format!("{variable}: {shown}, and must be more than 0");
        assert!(status.message().contains(&problem), "{status}");
        let help = "\"unlimited\" is no limit";
        assert!(status.message().ends_with(help), "{status}");
    }
}

#[test]
fn all_that_let_nobody_in_are_told_in_the_order_of_their_lines() {
    let zeros = [
        "max_connections = 0",
        "default_timeout = '0s'",
        "max_unsent_bytes = 0",
        "control_frame_budget = '1/s'",
    ];
    let file = format!("[server]\n{}", zeros.join("\n"));
    let server = configure(Server::builder(), &file, &[]).unwrap();
    let status = server.into_process().unwrap_err();
    let problems: Vec<_> = status.message().lines().collect();
    assert_eq!(problems.len(), zeros.len(), "{status}");
    for (problem, line) in problems.iter().zip(2..) {
        assert!(
            problem.contains(&format!("wireloom.toml:{line}:1: ")),
            "{status}"
        );
    }
}

#[test]
fn limits_of_what_is_not_served_are_refused_with_their_place() {
    let file = "[server.method_limits.'grpc.health.v1.Healt']\nrate_limit = '5/s'";
    let server = configure(Server::builder(), file, &[]).unwrap();
    let status = server.into_process().unwrap_err();
    let problem = "wireloom.toml:1:23: there is no service or method grpc.health.v1.Healt, for which limits are set: did \
                   you mean grpc.health.v1.Health?";
    assert!(status.message().ends_with(problem), "{status}");
}

#[test]
fn budgets_of_what_is_cheap_to_send_are_set_each() {
    let file = "[server]\ncontrol_frame_budget = '5/s'\nwindow_update_budget = '2/s'\nreset_budget = '3/s burst 4'\n\
                refused_stream_budget = 'unlimited'\nflood_protection = false";
    let server = configure(Server::builder(), file, &[]).unwrap();
    let budget = |burst, per_second| Budget { burst, per_second };
    let limits = &server.options.protection;
    assert_eq!(limits.allowance.control_frames, budget(5, 5));
    assert_eq!(limits.allowance.window_updates, budget(2, 2));
    assert_eq!(limits.allowance.refused_streams, Some(Budget::UNLIMITED));
    assert_eq!(limits.resets, Some(budget(4, 3)));
    assert!(!limits.allowance.counts_frames);
    let by_default = Shown(&Server::builder().options).to_string();
    for part in [
        "control_frame_budget=200/s burst 1000 (default)",
        "flood_protection=on (default)",
        "refused_stream_budget=by-streams (default)",
        "reset_budget=by-streams (default)",
        "window_update_budget=1000/s burst 4000 (default)",
    ] {
        assert!(by_default.contains(part), "{part}: {by_default}");
    }
    let variables = [("WIRELOOM_SERVER_CONTROL_FRAME_BUDGET", "1000")];
    assert_eq!(
        error("", &variables),
        "WIRELOOM_SERVER_CONTROL_FRAME_BUDGET: control_frame_budget is \"1000\", and must be so many a second and at once, such \
         as \"200/s burst 1000\", or \"unlimited\""
    );
    for (budget, shown) in [("9/s burst 0", "9/s burst 0"), ("1/s", "1/s burst 1")] {
        let too_little = [("WIRELOOM_SERVER_CONTROL_FRAME_BUDGET", budget)];
        let server = configure(Server::builder(), "", &too_little).unwrap();
        let status = server.into_process().unwrap_err();
        let problem = format!(
            "WIRELOOM_SERVER_CONTROL_FRAME_BUDGET: control_frame_budget is {shown}, and must have a burst of at least 3, with \
             which clients begin: nobody would be served; \"unlimited\" is no limit"
        );
        assert!(status.message().ends_with(&problem), "{status}");
    }
}

#[test]
fn what_is_exempt_from_limits_is_named_in_place_of_the_default() {
    let exempt = |server: Server| server.options.admission.exempt;
    let file = "[server]\nexempt_from_limits = ['/grpc.health.v1.Health/Check']";
    let configured = configure(Server::builder(), file, &[]).unwrap();
    assert_eq!(exempt(configured), ["grpc.health.v1.Health/Check"]);
    let variables = [("WIRELOOM_SERVER_EXEMPT_FROM_LIMITS", "none")];
    let configured = configure(Server::builder(), file, &variables).unwrap();
    let shown = Shown(&configured.options).to_string();
    let part = "exempt_from_limits=none (WIRELOOM_SERVER_EXEMPT_FROM_LIMITS)";
    assert!(shown.contains(part), "{shown}");
    assert!(exempt(configured).is_empty());
    let problem = error("[server]\nexempt_from_limits = ['a.B', '']", &[]);
    assert_eq!(
        problem,
        "wireloom.toml:2:1: exempt_from_limits is \"a.B,\", and must be services and methods such as \"helloworld.Greeter\" \
         or \"helloworld.Greeter/SayHello\", with commas between and neither quotes nor brackets around them, or \"none\""
    );
}

#[test]
fn what_is_not_served_cannot_be_exempt() {
    let file = "[server]\nexempt_from_limits = ['grpc.health.v1.Healt', 'grpc.reflection.v1.ServerReflection']";
    let server = configure(Server::builder(), file, &[]).unwrap();
    let status = server.into_process().unwrap_err();
    let problem = "wireloom.toml:2:1: there is no service or method grpc.health.v1.Healt, for which an exemption from \
                   limits is set: did you mean grpc.health.v1.Health?";
    assert!(status.message().ends_with(problem), "{status}");
    let in_code = Server::builder().exempt_from_limits(["a.B"]);
    assert!(in_code.into_process().is_err());
}

#[test]
fn the_rest_of_the_file_is_the_generator_s() {
    let file = "[generate]\nprotos = ['a.proto']\n[packages.a]\n[services.'a.B']\n[methods.'a.B/C']\ntimeout = '2s'";
    let _server = configure(Server::builder(), file, &[]).unwrap();
}

#[test]
fn what_is_neither_the_generator_s_nor_a_server_s_is_refused() {
    assert_eq!(
        error(
            "shutdown_timeout = '2s'\n[sever]\nkeepalive = '1h'\n[method_limits.'a.B']\n[x]",
            &[]
        ),
        "wireloom.toml:1:1: the file has no key shutdown_timeout: it belongs in the table [server]\n\
         wireloom.toml:2:2: the file has no key sever: did you mean server?\n\
         wireloom.toml:4:2: the file has no key method_limits: it belongs in the table [server]\n\
         wireloom.toml:5:2: the file has no key x: there are generate, methods, packages, services, server"
    );
}

#[test]
fn all_that_is_wrong_has_a_place_and_says_what_must_be() {
    let file = "[server]\nshutdown_timeout = 30\nmax_concurrent_stream = 1\n";
    let variables = [("WIRELOOM_SERVER_RUNTIMES", "many")];
    assert_eq!(
        error(file, &variables),
        "wireloom.toml:2:1: shutdown_timeout is \"30\", and must be a duration such as \"30s\", \"1.5s\", \
         \"250ms\", \"5m\" or \"2h\", or \"unlimited\"\n\
         wireloom.toml:3:1: [server] has no key max_concurrent_stream: did you mean max_concurrent_streams?\n\
         WIRELOOM_SERVER_RUNTIMES: runtimes is \"many\", and must be \"current\", \"per-core\" or a number of threads"
    );
}

#[test]
fn what_is_wrong_is_told_in_the_order_of_the_lines() {
    let file = "[server.method_limits.'a.B/C']\nrate_limit = 'fast'\n[x]\n[server]\nkeepalive = 'long'\n\
                max_message_size = 'big'\n[server.method_limits.'a.D']\nrate_limit = 'slow'";
    let error = error(file, &[("WIRELOOM_SERVER_RUNTIMES", "many")]);
    let places = error.lines().map(|line| line.split(": ").next().unwrap());
    let lines = [2, 3, 5, 6, 8].map(|line| format!("wireloom.toml:{line}:"));
    let variable = ["WIRELOOM_SERVER_RUNTIMES".to_owned()];
    let expected = lines.iter().chain(&variable);
    let in_order = places
        .zip(expected)
        .all(|(place, begins)| place.starts_with(begins));
    assert!(in_order && error.lines().count() == 6, "{error}");
}

#[test]
fn numbers_are_written_as_toml_has_them() {
    let file = "[server]\nmax_connections = 1_000\nmax_receive_message_size = 0x10_0000\nmax_queued_calls = +5";
    let options = configure(Server::builder(), file, &[]).unwrap().options;
    assert_eq!(options.protection.max_connections, 1000);
    assert_eq!(options.max_receive_message_size, 1 << 20);
    assert_eq!(options.admission.limits.queue.max_calls, 5);
    let problem = error(
        "[server]\nmax_connections = -1\nmax_queued_calls = 99999999999999999999",
        &[],
    );
    assert_eq!(
        problem,
        "wireloom.toml:2:1: max_connections is \"-1\", and must be a whole number, or \"unlimited\"\n\
         wireloom.toml:3:1: max_queued_calls is \"99999999999999999999\", and must be a whole number, or \
         \"unlimited\""
    );
}

#[test]
fn of_sizes_alone_it_is_said_that_they_have_units() {
    assert_eq!(
        error(
            "[server]\nmax_connections = '1k'\nmax_unsent_bytes = '1k'\n",
            &[]
        ),
        "wireloom.toml:2:1: max_connections is \"1k\", and must be a whole number, or \"unlimited\"\n\
         wireloom.toml:3:1: max_unsent_bytes is \"1k\", and must be a number of bytes such as 4194304, \"4096KiB\" or \
         \"4MiB\", or \"unlimited\""
    );
}

#[test]
fn what_is_no_toml_or_no_table_has_a_place() {
    assert!(error("a = 1\n[server", &[]).starts_with("wireloom.toml:2:8: this is no TOML"));
    assert_eq!(
        error("server = 1", &[]),
        "wireloom.toml:1:1: server must be a table"
    );
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let missing = Path::new("/nowhere/wireloom.toml");
    let status = Server::builder().configured_by(missing, true, std::iter::empty());
    let status = status.unwrap_err();
    assert!(
        status
            .message()
            .starts_with("cannot read /nowhere/wireloom.toml"),
        "{status}"
    );
    assert!(status.message().contains(FILE_VARIABLE), "{status}");
}

#[test]
fn a_variable_that_names_no_file_is_an_error_that_names_the_variable() {
    let status = named(Some(OsString::new())).unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let problem = "WIRELOOM_CONFIG is empty, and must be the path of a file";
    assert!(status.message().starts_with(problem), "{status}");
    assert_eq!(named(None).unwrap(), None);
    let file = named(Some("a.toml".into())).unwrap();
    assert_eq!(file, Some(PathBuf::from("a.toml")));
}

#[test]
fn variables_are_suspect_that_are_like_those_of_settings() {
    let suggestion = Some("did you mean WIRELOOM_SERVER_SHUTDOWN_TIMEOUT?".to_owned());
    assert_eq!(meant_by("WIRELOOM_SHUTDOWN_TIMEOUT"), suggestion);
    assert_eq!(meant_by("WIRELOOM_SERVER_SHUTDOWN_TIME"), suggestion);
    assert!(meant_by("WIRELOOM_SERVER_X").is_some());
    let of_methods = meant_by("WIRELOOM_SERVER_METHOD_LIMITS").unwrap();
    assert!(
        of_methods.contains("[server.method_limits."),
        "{of_methods}"
    );
    for other in [
        "WIRELOOM_BLESS",
        "WIRELOOM_CONFIG",
        "WIRELOOM_NODE_MODULES",
        "PATH",
    ] {
        assert_eq!(meant_by(other), None);
    }
}
