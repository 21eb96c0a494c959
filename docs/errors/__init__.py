"""The page of every diagnostic code, as data: `mobench explain E0312` shows `E0312.md`.

In: nothing. Out: Markdown files, installed as the package `mobench_errors`. Guarantee: one page per code of
`mobench_lang/codes.toml`; tests run the examples.
"""
