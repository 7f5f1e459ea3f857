//! How a bidirectional call is answered.

use std::{
    fmt,
    sync::{Arc, Mutex},
    vec,
};

use tonic::Status;

use super::lock;

/// How a bidirectional call is answered: with a list of messages, at once, or with one for [`each`] request.
///
/// The call ends when its requests have ended, or with the first failure. A list is made of an array or a `Vec` of results.
pub struct Replies<Req, Res>(Source<Req, Res>);

enum Source<Req, Res> {
    List(vec::IntoIter<Result<Res, Status>>),
    Each(Arc<Mutex<Reply<Req, Res>>>),
}

type Reply<Req, Res> = dyn FnMut(&Req) -> Result<Res, Status> + Send;

/// Answers each request of a bidirectional call as it comes.
///
/// After [`answer_with`](super::MethodMock::answer_with), which takes all requests first, it has none to answer.
pub fn each<Req, Res>(
    reply: impl FnMut(&Req) -> Result<Res, Status> + Send + 'static,
) -> Replies<Req, Res> {
    Replies(Source::Each(Arc::new(Mutex::new(reply))))
}

impl<Req, Res> Replies<Req, Res> {
    /// What is said before the next request is read.
    pub(super) fn unasked(&mut self) -> Option<Result<Res, Status>> {
        match &mut self.0 {
            Source::List(list) => list.next(),
            Source::Each(_) => None,
        }
    }

    /// What is said to a request.
    pub(super) fn to(&mut self, request: &Req) -> Option<Result<Res, Status>> {
        match &mut self.0 {
            Source::List(_) => None,
            Source::Each(reply) => Some(lock(reply)(request)),
        }
    }
}

impl<Req, Res> From<Vec<Result<Res, Status>>> for Replies<Req, Res> {
    fn from(list: Vec<Result<Res, Status>>) -> Self {
        Self(Source::List(list.into_iter()))
    }
}

impl<Req, Res, const N: usize> From<[Result<Res, Status>; N]> for Replies<Req, Res> {
    fn from(list: [Result<Res, Status>; N]) -> Self {
        Vec::from(list).into()
    }
}

impl<Req, Res: Clone> Clone for Replies<Req, Res> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Source::List(list) => Source::List(list.clone()),
            Source::Each(reply) => Source::Each(Arc::clone(reply)),
        })
    }
}

impl<Req, Res> fmt::Debug for Replies<Req, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies").finish_non_exhaustive()
    }
}
