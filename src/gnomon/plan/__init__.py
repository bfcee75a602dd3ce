"""Plan: what was declared before the first request, read, checked, sealed and explained.

Reads     a plan file, or the JSON document that was made of it
Appends   nothing; the state database registers what is sealed here
Promises  an unknown key is an error; all problems come at once, each with file, line and key; the digest is over
          what moves the inference and over nothing else; a default never changes within `gnomon: 1`
Add here  a key: its field in `language.py`, its check in `semantics.py`, its row in docs/plan.md
"""
