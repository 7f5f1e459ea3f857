//! Streams that are refused or reset, and connections that end.

use h2::Reason;
use wireloom_peer::{Act, Last, Step};

use super::{Case, plain, retried, unavailable};

pub fn cases() -> Vec<Case> {
    let reset = Act::reset_after_reading;
    let half = Step::Data(vec![0, 0, 0, 0, 9, 1]);
    let in_mid_message = Act::read().headers().step(half).wait(10);
    let two_refusals = vec![Act::refuse_stream(); 2];
    vec![
        plain("a refused stream", Act::refuse_stream()),
        Case {
            script: two_refusals,
            ..plain("two refused streams", Act::stall())
        },
        retried(
            "a refused stream, then the policy",
            vec![Act::refuse_stream(), unavailable(), unavailable()],
        ),
        retried(
            "a refused stream in mid message",
            vec![in_mid_message.clone().reset(Reason::REFUSED_STREAM)],
        ),
        plain("a reset, NO_ERROR", reset(Reason::NO_ERROR)),
        plain("a reset, INTERNAL_ERROR", reset(Reason::INTERNAL_ERROR)),
        plain("a reset, CANCEL", reset(Reason::CANCEL)),
        plain(
            "a reset, ENHANCE_YOUR_CALM",
            reset(Reason::ENHANCE_YOUR_CALM),
        ),
        plain(
            "a reset, INADEQUATE_SECURITY",
            reset(Reason::INADEQUATE_SECURITY),
        ),
        plain(
            "a GOAWAY below the call",
            Act::default().go_away(Last::Below),
        ),
        plain(
            "a GOAWAY at the call",
            Act::read().go_away(Last::This).answer(),
        ),
        plain("a connection closed", Act::read().close()),
        retried(
            "a connection closed, then the policy",
            vec![Act::read().close()],
        ),
        retried(
            "a connection closed in mid message",
            vec![in_mid_message.close()],
        ),
    ]
}
