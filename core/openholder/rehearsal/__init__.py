"""Rehearse the go-live: call any resource server in Fiskil's place and check every response.

Data flows one way. The `Caller` sends requests and returns exchanges. The phases collect these in a `Session`. Checks
and probes turn exchanges into results, each of one `Rule` for one operation. The `Report` collects the results. No
output of a rehearsal quotes a value from a response: failures consist of places, types and numbers.
"""
