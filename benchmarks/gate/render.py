"""A verdict as text for a terminal, as markdown for a job summary, and as JUnit XML for whatever reads test results."""

from __future__ import annotations

import json
import math
from xml.etree import ElementTree

from benchmarks.gate.judge import Finding, Verdict, seeds_text
from benchmarks.plain_text import printable

READING = (
    "pass: the 90% interval lies within the margin. fail: the estimate is beyond it and is no noise (one-sided t test, "
    "p at most 0.05 after Holm's correction over all rules and scenarios). inconclusive: neither, with these seeds."
)


def json_text(verdict: Verdict) -> str:
    return json.dumps(verdict.document(), indent=1) + "\n"


def terminal(verdict: Verdict) -> str:
    """Plain text, a line a rule."""
    lines = [f"champion    {verdict.champion}", f"challenger  {verdict.challenger}", ""]
    lines += [f"refused: {reason}" for reason in verdict.refusal]
    scenario = None
    rows = [_row(f) for f in verdict.findings]
    widths = [max((len(row[k]) for row in rows), default=0) for k in range(len(_HEAD))]
    for finding, row in zip(verdict.findings, rows):
        if finding.scenario != scenario:
            scenario = finding.scenario
            lines.append(scenario)
        shown = "  ".join(cell.ljust(width) for cell, width in zip(row[1:], widths[1:]))
        lines.append(
            f"  {finding.outcome.upper() if finding.outcome == 'fail' else finding.outcome:<12}  {shown}".rstrip()
        )
    if verdict.findings:
        lines += ["", "columns: " + ", ".join(_HEAD[1:-1]), *_reasons(verdict), *_notes(verdict)]
    lines += ["", f"verdict: {verdict.headline}"]
    return "\n".join(lines)


def markdown(verdict: Verdict) -> str:
    """For $GITHUB_STEP_SUMMARY or a comment."""
    lines = [
        f"### Gate: {verdict.headline}",
        "",
        f"champion {_escaped(verdict.champion)}, challenger {_escaped(verdict.challenger)}",
        "",
    ]
    lines += [f"- refused: {_escaped(reason)}" for reason in verdict.refusal]
    if verdict.findings:
        lines += [
            "| " + " | ".join(_HEAD) + " |",
            "|" + "|".join([" :--- ", " :--- ", *[" ---: "] * 5, " :--- "]) + "|",
        ]
        for finding in verdict.findings:
            cells = [_escaped(cell) for cell in _row(finding)]
            if finding.outcome == "fail":
                cells[-1] = f"**{cells[-1]}**"
            lines.append("| " + " | ".join(cells) + " |")
        notes = [*_reasons(verdict), *_notes(verdict)]
        lines += ["", READING, "", *[f"- {_escaped(note)}" for note in notes]]
    return "\n".join(lines).rstrip() + "\n"


def junit(verdict: Verdict) -> str:
    """One test case for each rule in each scenario. A refusal is an error, what is n/a is skipped; what is inconclusive
    is a failure of type "inconclusive", or skipped where that is allowed."""
    counts = {"failures": "fail", "skipped": "n/a"}
    counts["skipped" if verdict.inconclusive_ok else "failures"] += " inconclusive"
    attributes = {"name": "gate", "tests": str(len(verdict.findings) or 1), "errors": str(int(bool(verdict.refusal)))}
    for name, outcomes in counts.items():
        attributes[name] = str(sum(f.outcome in outcomes.split() for f in verdict.findings))
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(root, "testsuite", attributes | {"time": "0"})
    for finding in verdict.findings:
        names = {"classname": f"gate.{finding.scenario}", "name": finding.rule, "time": "0"}
        case = ElementTree.SubElement(suite, "testcase", names)
        message = _sentence(finding)
        if finding.outcome in counts["failures"].split():
            kind = {"message": message, "type": "gate" if finding.outcome == "fail" else "inconclusive"}
            ElementTree.SubElement(case, "failure", kind).text = message
        elif finding.outcome != "pass":
            ElementTree.SubElement(case, "skipped", {"message": message})
        else:
            ElementTree.SubElement(case, "system-out").text = message
    if verdict.refusal:
        case = ElementTree.SubElement(suite, "testcase", {"classname": "gate", "name": "comparable", "time": "0"})
        reasons = "\n".join(verdict.refusal)
        ElementTree.SubElement(case, "error", {"message": verdict.refusal[0], "type": "refused"}).text = reasons
    if verdict.notes:
        ElementTree.SubElement(suite, "system-out").text = "\n".join(verdict.notes)
    ElementTree.indent(root)
    text = printable(ElementTree.tostring(root, encoding="unicode")).translate(_NO_XML)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


_NO_XML = {0xFFFE: r"\ufffe", 0xFFFF: r"\uffff"}
"""Characters that XML has no room for, beside those that `printable` writes out."""
_HEAD = ("scenario", "rule", "champion", "challenger", "estimate", "90% interval", "p", "verdict")


def _row(finding: Finding) -> list[str]:
    if finding.outcome == "n/a":
        return [finding.scenario, finding.rule, "", "", "", "", "", "n/a"]
    verdict: str = finding.outcome
    if finding.more_seeds is not None:
        verdict += f", {seeds_text(finding.more_seeds)} more seeds"
    return [
        finding.scenario,
        finding.rule,
        _level(finding.champion),
        _level(finding.challenger),
        f"{finding.quantity} {_number(finding, finding.estimate)}".strip(),
        f"{_number(finding, finding.low)} to {_number(finding, finding.high)}",
        f"{finding.p_value:.3f}" if finding.p_value >= 0.001 else "<0.001",
        verdict,
    ]


def _sentence(finding: Finding) -> str:
    if finding.outcome == "n/a":
        return f"n/a: {finding.reason}"
    row = _row(finding)
    text = f"{row[7]}: champion {row[2]}, challenger {row[3]}, {row[4]} (90% interval {row[5]}), p {row[6]}"
    return text + f", {finding.seeds} seeds" + f"; {finding.reason}" * bool(finding.reason)


def _reasons(verdict: Verdict) -> list[str]:
    """Why a rule is n/a or was read otherwise, once for each."""
    said: dict[tuple[str, str], list[str]] = {}
    for finding in verdict.findings:
        if finding.reason:
            said.setdefault((finding.rule, finding.reason), []).append(finding.scenario)
    return [f"{rule}, {', '.join(scenarios)}: {reason}" for (rule, reason), scenarios in said.items()]


def _notes(verdict: Verdict) -> list[str]:
    return [f"note: {note}" for note in verdict.notes]


def _number(finding: Finding, value: float) -> str:
    """A difference or value with its sign where that says something; -0 is 0."""
    if finding.quantity == "growth":
        return f"{round(100 * value, 2) + 0.0:+.2f}%"
    return f"{round(value, 4) + 0.0:{'' if finding.quantity == 'value' else '+'}.4f}"


def _level(value: float) -> str:
    if not math.isfinite(value):
        return "NaN"
    return f"{round(value, 4) + 0.0:.4f}" if abs(value) < 10 else f"{value:.4g}"


def _escaped(text: str) -> str:
    return printable(text).replace("|", r"\|").replace("\n", " ")
