"""Contains the scrapers, one per module. A scraper renders metric families from the mirrors and exports one value,
`scraper`.
"""
