"""Letters as they are written: the merge language (language, vocabulary), Markdown with blocks (markdown, plain, cleaning),
layouts (layouts, holding, contexts). How letters leave and what becomes of them is `engine.mail`."""
