"""The participant's way over HTTP: consent, trials, judgments, completion (docs/http.md)."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from markupsafe import Markup
from sqlalchemy.orm import Session

from app.domain.protocol import Protocol
from app.domain.timing_records import is_absurd, is_possible_ms
from app.errors import BadInput, Forbidden, Gone, NothingNow, Screened, TooLarge
from app.json_text import UnusableJSON, read_json
from app.models.assignments import Assignment
from app.models.recruiting import Recruitment
from app.recruiters.recruiter import Door, Ending
from app.services import study_lookup
from app.services.assignments import admission, enrolment, judgments, lifecycle, people, trials
from app.services.assignments.enrolment_quota import Quota
from app.services.assignments.judgments import CHOICES, Answer
from app.services.study_lookup import current_protocol, current_version, protocol_version
from app.web.addresses import client_of
from app.web.deps import Resources, ResourcesDep, SessionDep
from app.web.json_bodies import LenientJSONRoute
from app.web.markdown import to_html
from app.web.pages import ConsentPage, MessagePage, ThanksPage, TrialsPage, render
from app.web.payloads import (
    MAX_JUDGMENTS,
    Accepted,
    AssignmentProgress,
    CheckOutcome,
    Completed,
    EndingOut,
    Enrolled,
    FeedbackOut,
    GivenAbort,
    GivenCheck,
    GivenEnvironment,
    GivenJudgments,
    PresentationOut,
    Shown2AFC,
    ShownJND,
    Trials,
)
from app.web.places import Fetched
from app.web.problems import documented

PROBLEMS = documented(
    {
        403: "not for this person: another's submission, screened out, or the comprehension check comes first",
        404: "there is no such study, assignment or image",
        409: "not now: nothing to judge, trials still open, or another answer than before",
        410: "closed, finished or withdrawn",
        413: "too large",
        422: "the request is malformed, or what it says cannot be",
        429: "too many of this network have signed up and not answered anything",
        503: "a part of the server does not answer; try again",
    }
)
router = APIRouter(tags=["participant"], responses=PROBLEMS, route_class=LenientJSONRoute)
COLOUR_VISION = ("normal", "deficient", "unsure")
PREVIEW = "This is a preview. To take part, accept the task on the page around this one."
IMAGE_CACHE = "private, max-age=86400, immutable"


async def read_fields(request: Request) -> dict[str, str]:
    """The fields of a form or a flat JSON object, as strings."""
    if request.headers.get("content-type", "").split(";")[0].strip() == "application/json":
        try:
            body = read_json(await request.body())
        except UnusableJSON as error:
            raise BadInput(f"The body is no JSON that can be used: {error.msg}.") from None
        if not isinstance(body, dict):
            raise BadInput("The body must be a JSON object.")
        return {str(name): _as_text(value) for name, value in body.items() if value is not None}
    fields = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    # Kept for the page that offers to send the form again.
    request.state.fields = fields
    return fields


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_form(request: Request) -> bool:
    return not request.headers.get("content-type", "").startswith("application/json")


@router.get("/studies/{slug}", include_in_schema=False)
def consent_page(request: Request, slug: str, session: SessionDep, resources: ResourcesDep) -> Response:
    """Consent and instructions, or, for somebody who has agreed before, where their assignment stands. Creates
    nothing."""
    study = study_lookup.by_slug(session, slug)
    version = current_version(session, study.id)
    protocol = protocol_version(session, study.id, version)
    door = resources.doors.of(protocol)
    if door.is_preview(request.query_params):
        enrolment.require_open(study)
        return render(request, consent_page_of(study.slug, protocol, fields={}, preview=PREVIEW))
    arrival = door.identify(request.query_params)
    admission.require_invitation(session, study=study, arrival=arrival)
    recruitment = admission.recruitment_of(session, study=study, arrival=arrival)
    known = people.find_assignment(session, resources.keys, study_id=study.id, arrival=arrival)
    # A signed link lets in once: signing up sees to that.
    if known is not None and arrival.link is None:
        return RedirectResponse(f"/assignments/{resources.keys.assignment_token(known)}", status_code=303)
    if known is None:
        with _way_back(door, recruitment):
            enrolment.require_open(study)
    page = consent_page_of(
        study.slug,
        protocol,
        fields=door.handed_on(request.query_params, arrival) | {"consent_version": str(version)},
        declined=door.way_back(recruitment.codes["no_consent"]) if recruitment else None,
    )
    return render(request, page)


def consent_page_of(
    slug: str,
    protocol: Protocol,
    *,
    fields: dict[str, str],
    declined: str | None = None,
    preview: str = "",
) -> ConsentPage:
    sitting = protocol.assignment
    return ConsentPage(
        title=protocol.title,
        language=protocol.language,
        slug=slug,
        consent=Markup(to_html(protocol.consent)),  # noqa: S704 - sanitised
        instructions=Markup(to_html(protocol.instructions)),  # noqa: S704 - sanitised
        ethics=protocol.ethics,
        contact=protocol.contact,
        minutes=sitting.minutes,
        trials=sitting.trials + sitting.practice + sitting.sentinels + sitting.instruction_trials,
        screening=protocol.screening,
        fields=fields,
        declined=declined,
        preview=preview,
    )


@router.post(
    "/studies/{slug}/assignments",
    status_code=201,
    response_model=Enrolled,
    responses={200: {"model": Enrolled, "description": "known before"}, 303: {"description": "to the page, for forms"}},
)
def sign_up(
    request: Request,
    slug: str,
    session: SessionDep,
    resources: ResourcesDep,
    fields: Annotated[dict[str, str], Depends(read_fields)],
) -> Response:
    """Consent, and get an assignment: `consent=true` and the recruiter's fields, as a form or as JSON; optionally
    `consent_version`, the version of the text that was read, and `colour_vision`, what the person says of it: normal,
    deficient or unsure."""
    study = study_lookup.by_slug(session, slug)
    if fields.get("consent") != "true":
        raise BadInput("To take part you have to agree first: consent must be true.")
    colour_vision = fields.get("colour_vision", "")
    if colour_vision not in ("", *COLOUR_VISION):
        raise BadInput(f"colour_vision is one of {', '.join(COLOUR_VISION)}, or left out.")
    door = resources.doors.of(current_protocol(session, study.id))
    arrival = door.identify(fields)
    version = _version(fields.get("consent_version"))
    with _way_back(door, admission.recruitment_of(session, study=study, arrival=arrival)):
        signed_up = enrolment.sign_up(
            session,
            resources.keys,
            study=study,
            arrival=arrival,
            consent_version=version,
            quota=Quota(resources.enrolments, client_of(request)),
        )
    if signed_up.is_new and colour_vision:
        lifecycle.store_environment(session, token=signed_up.token, environment={"colour_vision": colour_vision})
    url = f"/assignments/{signed_up.token}"
    if is_form(request):
        return RedirectResponse(url, status_code=303)
    return JSONResponse({"token": signed_up.token, "url": url}, status_code=201 if signed_up.is_new else 200)


@contextmanager
def _way_back(door: Door, recruitment: Recruitment | None) -> Iterator[None]:
    """Whom we cannot use we send back to the recruiter, with the code that says so: their time there is not lost."""
    try:
        yield
    except (Gone, NothingNow, Screened) as error:
        url = door.way_back(recruitment.codes["screened_out"]) if recruitment else None
        if url is not None:
            error.details["return_url"] = url
        raise


def _version(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadInput("consent_version is no version of this study's consent.")
    return int(text)


@router.post("/studies/{slug}/decline", responses={200: {"content": {"text/html": {}}, "description": "heard"}})
def decline(request: Request, slug: str, session: SessionDep) -> Response:
    """Say no. Nothing is stored."""
    study_lookup.by_slug(session, slug)
    message = "You decided not to take part. Nothing was stored; you can close this page."
    if is_form(request):
        return render(request, MessagePage(title="Thank you", message=message))
    return JSONResponse({"detail": message})


@router.get("/assignments/{token}", include_in_schema=False)
def assignment_page(request: Request, token: str, session: SessionDep, resources: ResourcesDep) -> Response:
    """The page for where this assignment stands."""
    assignment = lifecycle.by_token(session, token)
    protocol = protocol_version(session, assignment.study_id, assignment.protocol_version)
    recruitment = session.get(Recruitment, assignment.recruitment_id) if assignment.recruitment_id else None
    with _way_back(resources.doors.of(protocol), recruitment):
        lifecycle.require_under_way(assignment)
    thanks = Markup(to_html(protocol.thanks))  # noqa: S704 - sanitised
    if assignment.state == "completed":
        return render(
            request,
            ThanksPage(
                title=protocol.title,
                language=protocol.language,
                thanks=thanks,
                completion_code=assignment.completion_code,
                ending=_ending(session, resources, protocol, assignment),
            ),
        )
    return render(
        request,
        TrialsPage(
            title=protocol.title,
            language=protocol.language,
            token=token,
            kind=protocol.kind,
            question=protocol.question,
            instructions=Markup(to_html(protocol.instructions)),  # noqa: S704 - sanitised
            contact=protocol.contact,
            thanks=thanks,
            check=protocol.check if assignment.checked_at is None else [],
            screening=protocol.screening,
            break_every=protocol.assignment.break_every,
            practice=lifecycle.practice_trials(session, assignment),
            ending=None,
        ),
    )


def _ending(session: Session, resources: Resources, protocol: Protocol, assignment: Assignment) -> Ending:
    submission = people.submission_id(session, resources.keys, assignment_id=assignment.id)
    door = resources.doors.of(protocol)
    return door.ending(assignment.completion_code, submission=submission, submit_to=assignment.submit_to)


@router.get("/assignments/{token}/trials", response_model_exclude_none=True)
def list_trials(token: str, session: SessionDep, resources: ResourcesDep) -> Trials:
    """The trials still unanswered, in order; 403 before a comprehension check that the protocol has is passed."""
    assignment = lifecycle.by_token(session, token, lock=True)
    lifecycle.require_under_way(assignment)
    protocol = protocol_version(session, assignment.study_id, assignment.protocol_version)
    if protocol.check and assignment.checked_at is None:
        raise Forbidden("Please answer the questions about the instructions first.")
    progress = lifecycle.progress(session, assignment)
    if progress.position == 0:
        lifecycle.renew(session, assignment)
    return Trials(
        assignment=AssignmentProgress(position=progress.position, total=progress.total, state=assignment.state),
        presentation=_presentation(protocol),
        trials=[_shown(shown) for shown in trials.shown(resources.keys, protocol, progress.open)],
    )


def _presentation(protocol: Protocol) -> PresentationOut:
    presentation = protocol.presentation
    if protocol.kind == "2afc":
        return PresentationOut(scale=presentation.scale)
    return PresentationOut(scale=presentation.scale, stimulus_ms=presentation.stimulus_ms, gap_ms=presentation.gap_ms)


def _shown(shown: trials.ShownTrial) -> Shown2AFC | ShownJND:
    addresses = [f"/images/{sealed}" for sealed in shown.images]
    attempt, practice = shown.attempt + 1, True if shown.is_practice else None
    if shown.kind == "2afc":
        images = dict(zip(trials.PLACES, addresses, strict=True))
        return Shown2AFC(id=shown.id, attempt=attempt, practice=practice, images=images, prompt=shown.prompt)
    return ShownJND(
        id=shown.id,
        attempt=attempt,
        practice=practice,
        flashes=addresses,
        pairs=list(shown.pairs),
        questions=list(shown.questions),
    )


@router.get("/images/{opaque}", response_class=Response, responses={200: {"content": {"image/webp": {}}}})
def image(opaque: str, session: SessionDep, resources: ResourcesDep) -> Response:
    """The pixels."""
    source = trials.image_source(session, resources.keys, opaque)
    fetch = partial(trials.image_bytes, resources.storage, source)
    return Fetched(resources.outside, fetch, media_type="image/webp", headers={"Cache-Control": IMAGE_CACHE})


@router.post("/assignments/{token}/judgments")
def judge(token: str, given: GivenJudgments, session: SessionDep) -> Accepted:
    """Store answers, all or nothing. A repeat with the same answer is accepted again; a different one is a 409 that
    lists `conflicts`."""
    if len(given.judgments) > MAX_JUDGMENTS:
        raise TooLarge(f"A request holds at most {MAX_JUDGMENTS} judgments.")
    receipt = judgments.record(
        session,
        token=token,
        answers=[
            Answer(
                trial=judgment.trial,
                answers=tuple(judgment.answers),
                input=judgment.input,
                rt_ms=judgment.rt_ms,
                timing=judgment.timing,
                suspect=not is_possible_ms(judgment.rt_ms) or is_absurd(judgment.timing),
            )
            for judgment in given.judgments
        ],
    )
    return Accepted(
        accepted=receipt.accepted,
        position=receipt.position,
        total=receipt.total,
        feedback=[
            FeedbackOut(
                trial=feedback.trial,
                correct=feedback.correct,
                expected=feedback.expected[0] if feedback.expected[0] in CHOICES["2afc"] else list(feedback.expected),
            )
            for feedback in receipt.feedback
        ],
    )


@router.post("/assignments/{token}/aborts")
def abort(token: str, given: GivenAbort, session: SessionDep, resources: ResourcesDep) -> Response:
    """Tell that an attempt came to no answer: the trial comes again at the end, up to three times."""
    progress = lifecycle.abort(
        session, token=token, trial_id=given.trial, attempt=given.attempt, reason=given.reason, timing=given.timing
    )
    assignment = lifecycle.by_token(session, token)
    protocol = protocol_version(session, assignment.study_id, assignment.protocol_version)
    again = [trial for trial in progress.open if trial.id == given.trial]
    shown = [_shown(trial).model_dump(exclude_none=True) for trial in trials.shown(resources.keys, protocol, again)]
    return JSONResponse({"position": progress.position, "total": progress.total, "trial": shown[0] if shown else None})


@router.post("/assignments/{token}/environment", status_code=204)
def environment(token: str, given: GivenEnvironment, session: SessionDep) -> None:
    """Store what the page measured: refresh rate, viewport and the like."""
    lifecycle.store_environment(session, token=token, environment=given.root)


@router.post("/assignments/{token}/check")
def check(token: str, given: GivenCheck, session: SessionDep) -> CheckOutcome:
    """Answer the comprehension check, one of its choices to each question; there are two tries."""
    result = lifecycle.check(session, token=token, answers=given.answers)
    return CheckOutcome(passed=result.passed, tries_left=result.tries_left, wrong=result.wrong)


@router.post("/assignments/{token}/withdraw", status_code=204)
def withdraw(token: str, session: SessionDep) -> None:
    """Leave the study: the answers are not used."""
    lifecycle.withdraw(session, token=token)


@router.post("/assignments/{token}/complete")
def complete(token: str, session: SessionDep, resources: ResourcesDep) -> Completed:
    """The completion code, once every trial is answered or skipped; else a 409 that lists the `missing` trials."""
    assignment = lifecycle.complete(session, token=token)
    protocol = protocol_version(session, assignment.study_id, assignment.protocol_version)
    ending = _ending(session, resources, protocol, assignment)
    return Completed(
        completion_code=assignment.completion_code,
        redirect=ending.url if ending.kind == "redirect" else None,
        ending=EndingOut(kind=ending.kind, url=ending.url, fields=ending.fields),
    )
