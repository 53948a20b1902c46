@echo off
rem Finds a Python 3.10 to 3.13 and starts the program with it. PYTHON names one outside the search path.
setlocal
cd /d "%~dp0"
set "CHECK=import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))"
set "FOUND="

if defined PYTHON call :try "%PYTHON%"
for %%V in (3.11 3.12 3.13 3.10) do if not defined FOUND call :try py -%%V
if not defined FOUND call :try python
if not defined FOUND (
    echo No Python 3.10 to 3.13 was found. Install Python 3.11 from python.org,
    echo or name one: set PYTHON=C:\path\to\python.exe
    set "STATUS=1"
    goto end
)
%FOUND% launch.py %*
set "STATUS=%ERRORLEVEL%"

:end
if not "%STATUS%"=="0" if not defined ATELIER_NO_PAUSE pause
exit /b %STATUS%

:try
%* -c "%CHECK%" >nul 2>&1 && set "FOUND=%*"
exit /b 0
