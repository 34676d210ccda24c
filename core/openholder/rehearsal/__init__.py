"""A rehearsal of the go-live: Fiskil's part played against any resource server, and every answer judged.

Data flows one way. `Caller` sends requests and gives back exchanges; the walk makes a `Scene` of them; judges and
probes turn the scene into outcomes, each of one `Rule` for one operation; the `Report` is what the outcomes add up to.
Nothing that leaves a rehearsal quotes a value from an answer: deviations are told by place, type and number.
"""
