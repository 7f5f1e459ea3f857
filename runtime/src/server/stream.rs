//! One served call, from its request's head to its last frame.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use http::{HeaderMap, Request, Response, StatusCode, Uri};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tracing::Instrument as _;

use super::{
    Call,
    admission::{Entry, Place, Reason as RefusalReason, Refusal},
    answer::{answer, answer_status, gone},
    body::Source,
    connections::Shared,
    ended::{Ended, log_early},
    ending::{End, Ending},
    guard::Guard,
    head::check_is_grpc,
    protection::{Protection, Unsent},
    refusals::Refused,
    respond::Respond,
    router::is_asked_of_any_server,
};
use crate::{
    context::Context, deadline::Deadline, interceptor::Observers, spans::ServerSpan, status,
    trace::TraceContext,
};

// Inlined, so that its future is made where it is put: it is large, and copied otherwise.
#[inline(always)]
pub(super) fn serve(
    shared: Arc<Shared>,
    request: Request<Source>,
    respond: Respond,
    cut_off: Arc<CancellationToken>,
    protection: Option<Arc<Protection>>,
) -> impl Future<Output = ()> + Send + 'static {
    let received = Received::take(&shared, request, cut_off, protection.as_deref());
    serve_stream(shared, respond, received, protection)
}

/// A call whose head has come in.
struct Received {
    call: Call,
    entry: Result<Entry, Refusal>,
    cut_off: Arc<CancellationToken>,
}

impl Received {
    /// What is no call takes nothing of what calls are limited by.
    fn take(
        shared: &Shared,
        request: Request<Source>,
        cut_off: Arc<CancellationToken>,
        protection: Option<&Protection>,
    ) -> Result<Self, StatusCode> {
        check_is_grpc(&request)?;
        let call = Call::new(request, &shared.options, protection);
        // Now, and not when the call is polled first: what waits for that is under way, and takes its time.
        let entry = shared.admission.receive(call.path());
        Ok(Self {
            call,
            entry,
            cut_off,
        })
    }
}

async fn serve_stream(
    shared: Arc<Shared>,
    mut respond: Respond,
    received: Result<Received, StatusCode>,
    protection: Option<Arc<Protection>>,
) {
    let Received {
        call,
        entry,
        cut_off,
    } = match received {
        Ok(received) => received,
        Err(status) => return answer_other(respond, status, protection.as_deref()),
    };
    let mut ending = Ending::new(call.parts.deadline, cut_off);
    let span = open_span(&shared, &call);
    let ended = {
        let unsent = protection.as_deref().map(Protection::unsent);
        let ending = &mut ending;
        let served = pin!(serve_call(
            &shared,
            &mut respond,
            call,
            entry,
            ending,
            unsent,
            &span
        ));
        served.instrument(span.span().clone()).await
    };
    if let Some(protection) = protection.filter(|_| respond.is_counted()) {
        protection.ended(&ended, &ending);
    }
    span.finish(ended.code());
}

/// Answers what is no call.
fn answer_other(mut respond: Respond, status: StatusCode, protection: Option<&Protection>) {
    let mut response = Response::new(());
    *response.status_mut() = status;
    let answered = respond.send_response(response, true);
    if let Some(protection) = protection.filter(|_| respond.is_counted()) {
        match answered {
            Ok(_) => protection.answered(),
            Err(_) => protection.reset(Code::Cancelled, Duration::ZERO),
        }
    }
}

fn open_span(shared: &Shared, call: &Call) -> ServerSpan {
    let parts = &call.parts;
    let caller = parts
        .is_traced
        .then(|| TraceContext::extract(&parts.head.headers))
        .flatten();
    let method = call.path().trim_start_matches('/');
    let meter = shared.options.metrics.call(method);
    ServerSpan::open(method, caller.as_ref(), meter)
}

async fn serve_call(
    shared: &Shared,
    respond: &mut Respond,
    mut call: Call,
    entry: Result<Entry, Refusal>,
    ending: &mut Ending,
    unsent: Option<&Arc<Unsent>>,
    span: &ServerSpan,
) -> Ended {
    let uri = &call.parts.head.uri;
    let place = match admitted(shared, uri, entry, respond, ending, span).await {
        Ok(place) => place,
        Err(ended) => return ended,
    };
    let mut observers = (!shared.options.interceptors.is_empty()).then(Arc::<Observers>::default);
    let meter = span.meter().clone();
    meter.observe(&mut observers);
    // Those watch for as long as the server lets them: that it ends them is nothing to tell.
    let is_watcher = is_asked_of_any_server(call.path());
    let path = call.parts.head.uri.path_and_query().cloned();
    let mut guard = Guard::of(path, shared.options.blocking_threshold, meter);
    let context = Context::of_call(ending.deadline(), span.trace().clone());
    call.parts.body.observe(observers.as_ref());
    call.parts.measured = place.measured();
    let (ended, context) = {
        let answered = pin!(answer(
            shared,
            call,
            respond,
            ending,
            &mut guard,
            observers.as_ref(),
            unsent
        ));
        let mut answered = pin!(context.scope_of_call(answered));
        let ended = answered.as_mut().await;
        (ended, answered.take_value())
    };
    if let (Ended::Early(_) | Ended::Reset(_), Some(context)) = (&ended, context) {
        // The handler has been dropped; what it moved to other tasks is told.
        context.cancel();
    }
    if let Some(method) = guard.method().filter(|_| !is_watcher) {
        ended.log(method);
    }
    if let Some(observers) = observers {
        // It has ended as it has: their panic is for the log alone.
        let _ = guard.tell(|| observers.ended(&ended.status()));
    }
    place.finish(ended.code());
    ended
}

/// Waits for the call's turn, where it has to. A call whose deadline has passed by then does not have it: nobody waits for
/// what its handler would do.
///
/// # Errors
///
/// How the call ended, where it never gets its turn.
async fn admitted(
    shared: &Shared,
    uri: &Uri,
    entry: Result<Entry, Refusal>,
    respond: &mut Respond,
    ending: &mut Ending,
    span: &ServerSpan,
) -> Result<Place, Ended> {
    let refuse = |respond: &mut Respond, reason: RefusalReason, whose, status: Status| {
        // All that a limit refuses passes here, and all that is late.
        let limit = shared.admission.limit(reason, whose, uri.path());
        reason.log(uri.path(), limit.as_ref(), &status);
        if let Some(limit) = limit {
            let refused = Refused::Call(uri.path_and_query().cloned());
            shared.refusals.count(limit, refused);
        }
        span.refused(reason);
        shared.options.metrics.refused(reason.name());
        Err(Ended::answered(answer_status(
            respond,
            HeaderMap::new(),
            status,
        )))
    };
    let refuse_by = |respond: &mut Respond, refusal: Refusal| {
        let status = refusal.status();
        refuse(respond, refusal.reason, Some(refusal.whose), status)
    };
    let late = RefusalReason::DeadlinePassed;
    let place = match entry {
        Ok(Entry::In(place)) => place,
        Ok(Entry::Waits(waiting)) => {
            let mut place = Box::pin(waiting.place());
            let turn = poll_fn(|cx| {
                // Its end is asked for first: a call whose deadline has passed meanwhile must not reach its handler.
                match ending.poll_end(cx, |cx| respond.poll_reset(cx)) {
                    Poll::Ready(end) => Poll::Ready(Err(end)),
                    Poll::Pending => place.as_mut().poll(cx).map(Ok),
                }
            });
            match turn.await {
                Ok(Ok(place)) => {
                    // Where calls wait, one follows another at once, and a runtime that always has a task looks at sockets
                    // and timers once in 61 of them: a task that yields goes on after it has looked. What waits unread is
                    // not refused, and its deadline does not count.
                    tokio::task::yield_now().await;
                    place
                }
                Ok(Err(refusal)) => return refuse_by(respond, refusal),
                Err(End::Reset(code)) => return Err(Ended::Reset(gone(code))),
                Err(End::Status(status)) if status.code() == Code::DeadlineExceeded => {
                    return refuse(respond, late, None, status);
                }
                Err(End::Status(status)) => {
                    log_early(uri.path().trim_start_matches('/'), status.code());
                    let answer = answer_status(respond, HeaderMap::new(), status);
                    return Err(Ended::answered(answer));
                }
            }
        }
        Err(refusal) => return refuse_by(respond, refusal),
    };
    // It may have waited for the runtime as well.
    if ending.deadline().is_some_and(Deadline::is_expired) {
        place.came_late();
        return refuse(respond, late, None, status::deadline_exceeded());
    }
    Ok(place)
}
