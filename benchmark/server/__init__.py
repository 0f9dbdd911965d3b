"""A page on this machine that restores photos: drop one, pick rows, compare before and after, download the result.

    uploads   the bytes of a file -> the restored file, pictures to look at, maps, the time
    rows      folders of runs and rows -> the rows that may be picked
    app       the web application: routes, bounds of uploads, headers
    page.*    what the browser gets

Starlette and uvicorn serve it (extra `serve`). Nothing is kept: an upload and its result live in memory until the
answer is sent. The server listens on 127.0.0.1 alone and answers no other host name and no page of another origin.
"""
