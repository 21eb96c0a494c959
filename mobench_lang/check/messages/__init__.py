"""The wording of everything that `check` says, in one place: a module for each hundred of codes.

In: the facts of a finding. Out: a `Diagnostic`. Guarantee: each function has one code; every code stands in
`codes.toml` and has a page in docs/errors/.
"""

from mobench_lang.check.messages import (
    capabilities,
    claims,
    declarations,
    functions,
    imports,
    limits,
    matrix,
    names,
    procedure,
    values,
)

__all__ = [
    "capabilities",
    "claims",
    "declarations",
    "functions",
    "imports",
    "limits",
    "matrix",
    "names",
    "procedure",
    "values",
]
