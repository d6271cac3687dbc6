"""Decides which resources are selected by a name that a user entered. A list (`ps web`) and a change (`restart web`)
use the same rules.

These steps are tried in this order. The first step that finds a resource decides, so a full name never selects another
resource:

1. The exact name.
2. The whole id.
3. For containers: a service in full (`shop/web`, `shop_web`), then a project or a service by its own name. Either
   selects all its containers, except those of `docker compose run`. `shop/` is always the project.
4. The beginning of one name.
5. The beginning of one id, at least four characters.

A glob selects every resource that it matches. A glob with a slash is also compared with `project/service`.
`name@engine` selects on one engine only. `name#id` selects only the resource with this id. Upper and lower case differ.

A service can also be selected by its own name within a project. An image can also be selected by its digest, by its
repository, and by `repository:tag` in any spelling. If a name is only a repository, a list shows every tag of it; a
change takes the tag `latest` or the only image of the repository.

If a name that is not a glob matches several resources, a list shows them all. A change is refused, and the error names
the candidates.
"""
