"""Decides which resources a typed name selects. A list (`ps web`) and a change (`restart web`) use the same rules.

The first of these steps that finds something wins, so a name in full never selects another resource:

1. The exact name.
2. The whole id.
3. For containers: a service in full (`shop/web`, `shop_web`), then a project or a service by its own name. Either
   selects all its containers, except those of `docker compose run`. `shop/` is always the project.
4. The beginning of one name.
5. The beginning of one id, at least four characters.

A glob selects all that it matches; with a slash it is compared with `project/service` too. `name@engine` selects on one
engine only, `name#id` only the one with this id. Upper and lower case differ.

A service also has its own name within a project. An image also has `repository:tag` in any spelling, its digest and its
repository: a list shows every tag of a repository, a change takes `latest` or the only image there is.

If a name that is not a glob matches several resources, a list shows them all. A change is refused, and the error names
the candidates.
"""
