# SPDX-License-Identifier: Apache-2.0
"""Seeded generator of training conversations; every word of it is made here."""
