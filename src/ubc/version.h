/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UBC_VERSION_H
#define UBC_VERSION_H

#define UBC_VERSION 1U

#endif
